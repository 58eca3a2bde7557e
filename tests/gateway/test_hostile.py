"""Requests that must not reach a provider, and clients that must not hold the gateway up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.gateway import routes
from tests.gateway.answers import chat
from tests.gateway.conftest import Running, Start
from tests.gateway.upstreams import Asked, Connection, Upstream, serving

HEAD = b"Host: localhost\r\n"
POST = b"POST /openai/v1/chat/completions HTTP/1.1\r\n"


def answer(asked: Asked, connection: Connection) -> None:
    connection.head()
    connection.chunk(b"".join(chat(1)))
    connection.end()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with serving(answer) as upstream:
        yield upstream


@pytest.fixture
def gateway(start: Start, upstream: Upstream) -> Running:
    upstream.asked.clear()
    return start(upstream.url)


def ask(gateway: Running, raw: bytes) -> bytes:
    """What comes back until the gateway closes the connection."""
    got = b""
    with gateway.connect() as client:
        with contextlib.suppress(OSError):
            client.sendall(raw)
        with contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                got += data
    return got


# One gateway takes them all, one after the other: what one of them did to it, the next would see.
HOSTILE = {
    "a name of a web page's own": (b"POST /openai/v1/responses HTTP/1.1\r\nHost: evil.example\r\n\r\n", b" 421 "),
    "two names": (POST + HEAD + HEAD + b"\r\n", b" 4"),
    "a web page": (POST + HEAD + b"Origin: https://evil.example\r\nContent-Length: 0\r\n\r\n", b" 403 "),
    "an image in a web page": (
        b"GET /openai/v1/models HTTP/1.1\r\n" + HEAD + b"Sec-Fetch-Site: cross-site\r\n\r\n",
        b" 403 ",
    ),
    "an absolute URL": (b"GET http://169.254.169.254/openai/v1/models HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "two slashes": (b"GET //169.254.169.254/openai HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "a tunnel": (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "another path": (b"GET /openai/../../admin HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "another path, encoded": (b"GET /openai/v1/%2e%2E/%2e./admin HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "another path, back slashes": (b"GET /openai/v1/..%5c..%5cadmin HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "a line end in the path": (b"GET /openai/v1/%0d%0aX:y HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "a line end in a header": (POST + HEAD + b"X: a\rY: b\r\n\r\n", b" 400 "),
    "an unknown provider": (b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n", b" 400 "),
    "a huge header": (POST + HEAD + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n", b" 4"),
    "many headers": (POST + HEAD + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n", b" 4"),
    "a huge line": (b"GET /openai/" + b"y" * (1 << 20) + b" HTTP/1.1\r\n" + HEAD + b"\r\n", b" 4"),
    "two lengths": (POST + HEAD + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello", b" 400 "),
    "a length and chunks": (
        POST
        + HEAD
        + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /openai/v1/x HTTP/1.1\r\n\r\n",
        b" 400 ",
    ),
    "odd chunks": (POST + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b" 400 "),
    "a chunk that lies": (POST + HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx", b""),
    "a negative length": (POST + HEAD + b"Content-Length: -1\r\n\r\n", b" 400 "),
    "a huge body": (POST + HEAD + b"Content-Length: 99999999999\r\n\r\n", b" 413 "),
    "a web socket": (
        b"GET /openai/v1/responses HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b" 426 ",
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b" 400 "),
}


def test_hostile_requests_go_nowhere(gateway: Running, upstream: Upstream) -> None:
    """None of them is sent on; each is refused; the gateway serves on."""
    got = {name: ask(gateway, raw) for name, (raw, _) in HOSTILE.items()}
    wrong = {
        name: got[name][:200] for name, (_, status) in HOSTILE.items() if status not in got[name].split(b"\r\n")[0]
    }
    assert (wrong, [asked.line for asked in upstream.asked]) == ({}, [])
    assert gateway.post("/openai/v1/chat/completions")[0] == 200
    assert len(upstream.asked) == 1
    gateway.end()


LONG = POST + HEAD + b"Content-Length: %d\r\n\r\n" % (31 << 20)
CHUNKED = POST + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [CHUNKED, LONG], ids=["in chunks", "of one length"])
def test_unfinished_bodies_are_bounded(gateway: Running, upstream: Upstream, head: bytes) -> None:
    """Bodies that are held at once have a limit together, however they are sent; with room again, calls pass."""
    piece = bytes(1 << 20)
    framed = b"%x\r\n%s\r\n" % (len(piece), piece) if head is CHUNKED else piece
    got = b""
    with contextlib.ExitStack() as open_ones:
        # All begin before any of them holds something.
        clients = [open_ones.enter_context(gateway.connect()) for _ in range(9)]
        for client in clients:
            client.sendall(head)
        for client in clients:
            with contextlib.suppress(ConnectionError):
                for _ in range(30):
                    client.sendall(framed)
        with contextlib.suppress(ConnectionError):
            while data := clients[-1].recv(65536):
                got += data
    assert b" 503 " in got.split(b"\r\n")[0]
    assert upstream.asked == []
    assert gateway.post("/openai/v1/chat/completions")[0] == 200
    gateway.end()


def test_headers_of_one_connection_stay_there(gateway: Running, upstream: Upstream) -> None:
    """What `Connection` names, proxies' credentials and our own headers are not sent on."""
    gateway.post(
        "/openai/v1/models", Connection="X-Secret, close", X_Secret="a", Proxy_Authorization="b", TE="trailers"
    )
    (asked,) = upstream.asked
    assert {"x-secret", "proxy-authorization", "te", "x-hypertool-agent"}.isdisjoint(asked.headers)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user for one request")
def test_other_users_are_refused(gateway: Running, upstream: Upstream) -> None:
    """Another local user cannot spend this user's budget."""
    code = (
        "import encodings.idna, os, sys, urllib.request, urllib.error\nos.setuid(65534)\n"
        "try: print(urllib.request.urlopen(sys.argv[1]).status)\nexcept urllib.error.HTTPError as e: print(e.code)\n"
    )
    url = gateway.url + "/openai/v1/models"
    done = subprocess.run([sys.executable, "-I", "-c", code, url], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), upstream.asked) == ("403", []), done.stderr


@pytest.mark.parametrize("value", ["ftp://x", "http://user:secret@host", "http://h/?key=1", "h", "http://h:99999"])
def test_bad_upstream_is_refused_at_the_start(value: str, tmp_path: Path) -> None:
    """One line that names the variable, and no password of it; exit code 1."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hypertool")), "gateway"],
        env={**os.environ, "HYPERTOOL_GATEWAY_OPENAI": value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "HYPERTOOL_GATEWAY_OPENAI=" in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "metered"),
    [
        ("/anthropic/v1/messages?beta=true", True),
        ("/anthropic/v1/messages/count_tokens", False),
        ("/anthropic/v1/messages/batches", False),
        ("/openai/v1/responses", True),
        ("/openai/v1/responses/resp_1/cancel", False),
        ("/openai/v1/models", False),
        ("/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", True),
        ("/gemini/v1beta/models/gemini-2.5-pro:countTokens", False),
    ],
)
def test_only_model_calls_are_metered(target: str, metered: bool) -> None:
    """Counting tokens, listing models and the like are passed on, neither counted nor refused."""
    assert routes.parse(target).metered is metered
