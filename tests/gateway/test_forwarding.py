"""What passes through the gateway: the bytes, the pace, the errors, and nothing of it into a log."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_CALLS, LLM_REQUESTS, LLM_USAGE_MISSING, TOKENS
from tests.agents.ledgers import counted
from tests.gateway.answers import chat, chat_tokens
from tests.gateway.conftest import Running, Start
from tests.gateway.upstreams import Asked, Connection, serving
from tests.support.hypertool_host import wait_until

CHAT = "/openai/v1/chat/completions"


def _compressed(encoding: str, data: bytes) -> bytes:
    if encoding == "br":
        return bytes(pytest.importorskip("brotli").compress(data))
    if encoding == "zstd":
        try:
            from compression import zstd
        except ImportError:
            zstd = pytest.importorskip("backports.zstd")
        return bytes(zstd.compress(data))
    return {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding](data)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br", "zstd"])
def test_bytes_are_untouched_and_read(encoding: str, start: Start) -> None:
    """Request and answer arrive byte for byte, compressed as they were, and the usage in them is counted."""
    sent = _compressed(encoding, b"".join(chat(1)))

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head(Content_Encoding=encoding, X_Theirs="kept")
        for at in range(0, len(sent), 37):  # boundaries in the middle of everything
            connection.chunk(sent[at : at + 37])
        connection.end()

    body = b'{"model":"gpt-4.1",  "odd spacing": "\xff"}'
    with serving(answer) as upstream:
        gateway = start(upstream.url)
        status, got, headers = gateway.post(
            CHAT + "?a=%2F&b", body, Authorization="Bearer s", Accept_Encoding=encoding, X_Mine="kept"
        )
        gateway.end()
    assert (status, got) == (200, sent)
    assert (headers["content-encoding"], headers["x-theirs"]) == (encoding, "kept")
    (asked,) = upstream.asked
    assert (asked.line, asked.body) == ("POST /v1/chat/completions?a=%2F&b HTTP/1.1", body)
    assert (asked.headers["authorization"], asked.headers["x-mine"]) == ("Bearer s", "kept")
    assert asked.headers["accept-encoding"] == encoding
    assert "user-agent" not in asked.headers
    assert counted(TOKENS.key) == chat_tokens(1)


@contextlib.contextmanager
def streaming(gateway: Running) -> Iterator[http.client.HTTPResponse]:
    """The answer to a chat, as it comes."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as client:
        client.request("POST", CHAT, b"{}")
        yield client.getresponse()


def test_each_piece_is_passed_on_at_once(start: Start) -> None:
    """The provider sends an event only after the client has the one before it."""
    arrived = threading.Semaphore(0)

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        for event in chat(1):
            connection.chunk(event)
            assert arrived.acquire(timeout=20)
        connection.end()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        with streaming(gateway) as response:
            for event in chat(1):
                assert response.read(len(event)) == event
                arrived.release()
        gateway.end()
    assert counted(TOKENS.key) == chat_tokens(1)


def test_nothing_of_a_request_is_kept(start: Start, tmp_path: Path) -> None:
    """No credential, prompt, answer or header of a request is in the store, the ledger or the gateway's output."""
    secrets = [b"sk-secret-key", b"my-prompt", b"three", b"X-Odd", b"odd-value"]

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        connection.chunk(b"".join(chat(1)))
        connection.end()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        prompt = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "my-prompt"}]}
        gateway.post(CHAT, prompt, Authorization="Bearer sk-secret-key", X_Odd="odd-value")
        with gateway.connect() as broken:
            broken.sendall(b"POST / HTTP/1.1\r\nAuthorization: sk-secret-key\r\nBroken \x00 X-Odd odd-value\r\n\r\n")
            broken.recv(65536)
        upstream.answer = lambda asked, connection: connection.cut()
        gateway.post(CHAT, prompt, Authorization="Bearer sk-secret-key")
        gateway.end()
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(b"gpt-4.1" in data for data in kept.values())
    kept[Path("output")] = gateway.said.encode()
    assert [(path, secret) for path, data in kept.items() for secret in secrets if secret in data] == []


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini"])
def test_dead_provider_is_a_502_in_its_dialect(provider: str, start: Start) -> None:
    """A client gets an error that its SDK can read."""
    gateway = start("http://127.0.0.1:9")
    status, body, _ = gateway.post(f"/{provider}/v1/messages")
    error = json.loads(body)["error"]
    assert status == 502
    assert "does not answer" in error["message"]
    assert error.get("type", error.get("status")) in ("api_error", "server_error", "UNAVAILABLE")


def test_provider_dies_in_the_middle(start: Start) -> None:
    """The client sees that its stream was cut; the call is an error without usage."""

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        connection.chunk(chat(1)[0])
        connection.cut()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        with pytest.raises(http.client.IncompleteRead) as cut:
            gateway.post(CHAT)
        gateway.end()
    assert cut.value.partial == chat(1)[0]
    assert counted(LLM_REQUESTS.key, "unknown", "gpt-4.1", "error") == 1
    assert counted(LLM_USAGE_MISSING.key, "unknown", "gpt-4.1", "stream_cut") == 1
    assert counted(AGENT_CALLS.key) == 0


def test_client_that_leaves_cancels_the_call(start: Start) -> None:
    """The provider's connection is closed, and the call counts as cancelled, its usage as missing."""
    closed: list[bool] = []

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        connection.chunk(chat(1)[0])
        closed.append(connection.closed())

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        with gateway.connect() as client:
            client.sendall(
                b"POST " + CHAT.encode() + b' HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{"model": "gp"}'
            )
            assert b"200 OK" in client.recv(65536)
        wait_until(lambda: closed, "the end of the provider's connection", 30)
        gateway.end()
    assert closed == [True]
    assert counted(LLM_REQUESTS.key, "unknown", "gp", "cancelled") == 1
    assert counted(LLM_USAGE_MISSING.key, "unknown", "gp", "stream_cut") == 1


def test_slow_reader_slows_the_provider(start: Start) -> None:
    """The gateway holds little of what a client does not take, and loses nothing of it."""
    size = 64 << 20
    sent: list[Connection] = []

    def answer(asked: Asked, connection: Connection) -> None:
        sent.append(connection)
        connection.head("application/octet-stream")
        for _ in range(size >> 16):
            connection.chunk(bytes(1 << 16))
        connection.end()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        with contextlib.closing(client):
            client.request("POST", "/openai/v1/files", b"{}")
            response = client.getresponse()
            seen = [-1]

            def still() -> bool:
                seen.append(sent[0].written)
                return seen[-1] == seen[-2]

            wait_until(still, "the provider to be held up", 30)
            assert sent[0].written < size // 2
            assert len(response.read()) == size


def test_many_streams_at_once(start: Start) -> None:
    """200 streams that all wait for each other get their own bytes, and each is counted once."""
    number, lock, together = iter(range(1, 201)), threading.Lock(), threading.Barrier(200, timeout=60)

    def answer(asked: Asked, connection: Connection) -> None:
        with lock:
            n = next(number)
        events = chat(n)
        connection.head()
        connection.chunk(events[0])
        together.wait()
        for event in events[1:]:
            connection.chunk(event)
        connection.end()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        with ThreadPoolExecutor(200) as clients:
            got = list(clients.map(lambda _: gateway.post(CHAT), range(200)))
        gateway.end()
    assert {status for status, _, _ in got} == {200}
    assert sorted(body for _, body, _ in got) == sorted(b"".join(chat(n)) for n in range(1, 201))
    assert counted(TOKENS.key) == sum(map(chat_tokens, range(1, 201)))
    assert counted(AGENT_CALLS.key) == 200


def test_stop_drains(start: Start) -> None:
    """After SIGTERM a stream under way comes to its end, nothing new is taken, and the call is counted."""
    go_on = threading.Event()

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        connection.chunk(chat(1)[0])
        assert go_on.wait(30)
        for event in chat(1)[1:]:
            connection.chunk(event)
        connection.end()

    with serving(answer) as upstream:
        gateway = start(upstream.url)
        with streaming(gateway) as response:
            gateway.process.terminate()

            def refused() -> bool:
                try:
                    gateway.connect().close()
                except ConnectionRefusedError:
                    return True
                return False

            wait_until(refused, "the gateway to refuse new connections", 20)
            go_on.set()
            assert response.read() == b"".join(chat(1))
        gateway.end()
    assert counted(TOKENS.key) == chat_tokens(1)
