"""The HTTP client of the sinks: one deadline for everything, proxies, TLS both ways, and settings that cannot work."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.sinks.otlp import OtlpSink
from hypertool.sinks.transport import ANSWER_LIMIT, NoAnswer, Transport, Trust, Unusable
from tests.support.cloud.authority import Authority
from tests.support.dead_servers import endless, garbage, reset, serving, swallow, take_request, tls_server, trickle
from tests.support.otlp_receiver import OtlpReceiver

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY = b"some spans" * 1000


def answer_ok(connection: socket.socket, _: threading.Event) -> None:
    while True:
        take_request(connection)
        connection.sendall(OK)


class Recorder:
    """Answers everything with 200 and keeps the requests and the number of connections."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0

    def __call__(self, connection: socket.socket, _: threading.Event) -> None:
        self.connections += 1
        while True:
            self.requests.append(take_request(connection))
            connection.sendall(OK)

    def last(self) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """First line, headers in lower case and body of the newest request."""
        head, _, body = self.requests[-1].partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        return first, {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}, body


@pytest.fixture(autouse=True)
def _no_network_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def post(
    url: str, seconds: float = 20.0, compression: str = "none", trust: Trust | None = None, body: bytes = BODY
) -> bytes:
    answer = Transport(url, {}, seconds, compression, trust).post(body)
    assert answer.status == 200
    return answer.body


@pytest.mark.parametrize(
    ("compression", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("none", bytes)]
)
def test_what_is_sent_arrives(recorder: Recorder, compression: str, unpack: object) -> None:
    with serving(recorder) as url:
        assert post(f"{url}/a/b?c=d", compression=compression) == b"ok"
    first, headers, body = recorder.last()
    assert first == b"POST /a/b?c=d HTTP/1.1"
    assert headers.get(b"content-encoding", b"none").decode() == compression
    assert callable(unpack)
    assert unpack(body) == BODY


def test_connection_is_reused_and_replaced(recorder: Recorder) -> None:
    """One connection serves many posts; a closed one is replaced without an error."""

    def answer(connection: socket.socket, _: threading.Event) -> None:
        recorder.connections += 1
        for _ in range(4):
            recorder.requests.append(take_request(connection))
            connection.sendall(OK)
        # Then the server closes an idle connection, as all do some day.

    with serving(answer) as url:
        transport = Transport(url, {}, 20)
        for _ in range(3):
            transport.post(BODY)
        assert recorder.connections == 1
        transport.post(BODY)
        held = transport._connection
        assert held is not None
        assert held.sock is not None
        held.sock.settimeout(10)
        assert held.sock.recv(1, socket.MSG_PEEK) == b"", "the server has closed it"
        assert transport.post(BODY).status == 200
    assert recorder.connections == 2


@pytest.mark.parametrize("answer", [trickle, swallow])
def test_deadline_covers_the_whole_answer(answer: object) -> None:
    """The deadline covers the whole answer, however slowly it arrives."""
    assert callable(answer)
    with serving(answer) as url:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="timed out"):
            post(url, seconds=0.5)
        assert 0.45 < time.monotonic() - began < 5


def test_deadline_covers_a_server_that_reads_nothing() -> None:
    """The deadline holds for a server that does not read."""

    def never(_: socket.socket, over: threading.Event) -> None:
        over.wait()

    with serving(never) as url:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="timed out"):
            post(url, seconds=0.5, body=b"x" * 50_000_000)
        assert time.monotonic() - began < 5


def test_the_deadline_holds_for_a_tls_handshake() -> None:
    def never(_: socket.socket, over: threading.Event) -> None:
        over.wait()

    with serving(never) as url, pytest.raises(NoAnswer, match="timed out"):
        post(url.replace("http", "https", 1), seconds=0.5)


def test_of_an_endless_answer_the_beginning_is_read() -> None:
    with serving(endless("200 OK")) as url:
        assert len(post(url)) == ANSWER_LIMIT


@pytest.mark.parametrize(("answer", "word"), [(reset, "reset by peer"), (garbage, "does not speak HTTP")])
def test_a_broken_answer_is_no_answer(answer: object, word: str) -> None:
    assert callable(answer)
    with serving(answer) as url, pytest.raises(NoAnswer, match=word):
        post(url)


def test_answer_cut_after_its_status_counts() -> None:
    """An answer that breaks after its status counts as an answer."""

    def cut(connection: socket.socket, _: threading.Event) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with serving(cut) as url:
        assert post(url) == b"half", "sending it again would store the spans twice"


def test_credentials_in_an_address_become_a_header(recorder: Recorder) -> None:
    """Credentials in an address are sent as a header."""
    with serving(recorder) as url:
        post(url.replace("://", "://me:p%40ss@"))
    first, headers, _ = recorder.last()
    assert headers[b"authorization"] == b"Basic bWU6cEBzcw=="
    assert b"me:" not in first + headers[b"host"]


# TLS


def test_only_the_given_certificate_is_trusted(tmp_path: Path) -> None:
    """A server is trusted by the given certificate and by no other."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    with serving(answer_ok, tls_server(ours)) as url:
        assert post(url, trust=Trust(str(ours.ca_file))) == b"ok"
        for trust in (Trust(), Trust(str(theirs.ca_file))):
            with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
                post(url, trust=trust)
        with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
            post(url.replace("localhost", "127.0.0.1"), trust=Trust(str(ours.ca_file)))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_usual_variables_name_an_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    ours = Authority(tmp_path, "ours")
    monkeypatch.setenv(variable, str(ours.ca_file))
    with serving(answer_ok, tls_server(ours)) as url:
        assert post(url) == b"ok"


def test_client_certificate_is_sent_on_request(tmp_path: Path) -> None:
    """A server that asks for a client certificate gets it."""
    ours = Authority(tmp_path, "ours")
    pem = ours.certificate("client", ["client"], client=True)
    context = tls_server(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours.ca_file)
    with serving(answer_ok, context) as url:
        assert post(url, trust=Trust(str(ours.ca_file), str(pem))) == b"ok"
        with pytest.raises(NoAnswer):
            post(url, trust=Trust(str(ours.ca_file)))


def test_missing_certificate_is_named_and_retried(tmp_path: Path) -> None:
    """A missing certificate file is named in the log and looked for again."""
    ours = Authority(tmp_path, "ours")
    later = tmp_path / "later.pem"
    with serving(answer_ok, tls_server(ours)) as url:
        transport = Transport(url, {}, 20, "none", Trust(str(later)))
        with pytest.raises(Unusable, match=r"TLS cannot be set up with .*later\.pem"):
            transport.post(BODY)
        later.write_bytes(ours.ca_file.read_bytes())
        assert transport.post(BODY).status == 200


# Proxies


@contextlib.contextmanager
def tunnelling(requests: list[bytes]) -> Iterator[str]:
    """A proxy that connects, as RFC 9110 has it."""

    def answer(connection: socket.socket, _: threading.Event) -> None:
        asked = take_request(connection)
        requests.append(asked)
        host, _, port = asked.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as beyond:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=copy, args=(beyond, connection), daemon=True)
            back.start()
            copy(connection, beyond)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)

    with serving(answer) as url:
        yield url


def test_environment_proxy_for_http(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP goes through the proxy of the environment."""
    with serving(recorder) as url:
        monkeypatch.setenv("http_proxy", url.replace("://", "://me:word@"))
        post("http://collector.invalid:4318/v1/traces")
        first, headers, _ = recorder.last()
        assert first == b"POST http://collector.invalid:4318/v1/traces HTTP/1.1"
        assert headers[b"host"] == b"collector.invalid:4318"
        assert headers[b"proxy-authorization"] == b"Basic bWU6d29yZA=="


def test_environment_proxy_tunnels_https(tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS goes through a tunnel of the environment's proxy, which reads nothing."""
    ours, asked = Authority(tmp_path, "ours"), list[bytes]()
    with serving(recorder, tls_server(ours)) as url, tunnelling(asked) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("://", "://me:word@"))
        post(url, trust=Trust(str(ours.ca_file)))
    assert asked[0].startswith(b"CONNECT localhost:")
    assert b"Basic bWU6d29yZA==" in asked[0]
    assert b"proxy-authorization" not in recorder.last()[1]


@pytest.mark.parametrize("without", ["127.0.0.1", "*", "other.example,127.0.0.1"])
def test_no_proxy_is_honoured(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", without)
    with serving(recorder) as url:
        post(url)
    assert recorder.last()[0] == b"POST / HTTP/1.1"


def test_other_proxy_kind_is_named_without_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unsupported kind of proxy is logged without its password."""
    monkeypatch.setenv("all_proxy", "socks5://me:hidden-word@proxy.invalid:1080")
    with pytest.raises(Unusable, match=r"proxy\.invalid:1080.*NO_PROXY") as refused:
        post("http://collector.invalid:4318/")
    assert "hidden-word" not in str(refused.value)


# Settings that cannot work


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        "ftp://host/x",
        "http://",
        "localhost:4318",
        "http://host/with space",
        "http://[::1",
        "http://host:port/",
        "http://host:99999/",
    ],
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Unusable, match="expected http://host:port"):
        Transport(url, {}, 1)


def test_unsendable_header_is_named_not_shown() -> None:
    """A header that cannot be sent is logged by name, without its value."""
    with pytest.raises(Unusable, match="'authorization'") as refused:
        Transport("http://host", {"authorization": "hidden\r\nword"}, 1)
    assert "hidden" not in str(refused.value)


# The variables of the OTLP sink


def otlp(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[dict[bytes, bytes], float]:
    """The headers that arrive, and the timeout."""
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with serving(recorder) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        transport = OtlpSink(lambda *_: None).connect()
        transport.post(BODY)
    assert recorder.last()[0] == b"POST /v1/traces HTTP/1.1"
    return recorder.last()[1], transport._seconds


def test_headers_may_be_percent_encoded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are names and values, percent-encoded or not."""
    headers, _ = otlp(recorder, monkeypatch, HEADERS="Authorization=Basic%20abc=, X-Scope-OrgID = 12 ,nonsense,=x")
    assert headers[b"authorization"] == b"Basic abc="
    assert headers[b"x-scope-orgid"] == b"12"
    assert headers[b"content-type"] == b"application/x-protobuf"


def test_what_is_said_for_traces_wins(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    headers, seconds = otlp(
        recorder,
        monkeypatch,
        HEADERS="a=general",
        TRACES_HEADERS="a=traces",
        TIMEOUT="3",
        TRACES_TIMEOUT="4",
        COMPRESSION="none",
        TRACES_COMPRESSION="gzip",
    )
    assert (headers[b"a"], seconds, headers[b"content-encoding"]) == (b"traces", 4, b"gzip")


@pytest.mark.parametrize(
    ("given", "seconds"), [("2.5", 2.5), ("10000", 10), ("0", 10), ("-1", 10), ("soon", 10), ("nan", 10), ("inf", 10)]
)
def test_timeout_in_seconds_or_milliseconds(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, given: str, seconds: float
) -> None:
    """A timeout is in seconds, unless it can only be milliseconds."""
    assert otlp(recorder, monkeypatch, TIMEOUT=given)[1] == seconds


def test_the_endpoint_for_traces_is_taken_as_it_is(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(recorder) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/own/path")
        OtlpSink(lambda *_: None).connect().post(BODY)
    assert recorder.last()[0] == b"POST /own/path HTTP/1.1"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x0a",
        b"\x0a\x05\x08",
        b"\x08\x01",
        b"\xff" * 40,
        b'{"partialSuccess":{}}',
        b"\x0a\x04\x08\xff\xff",
        b"<html>fine</html>",
    ],
)
def test_an_answer_that_is_no_protobuf_is_a_success(answer: bytes) -> None:
    assert OtlpSink(lambda *_: None).accepted(answer).rejected == 0


def test_the_receivers_partial_success_is_read(tmp_path: Path) -> None:
    with OtlpReceiver(reject=300) as receiver:
        answer = Transport(f"{receiver.url}/v1/traces", {}, 20).post(b"")
    verdict = OtlpSink(lambda *_: None).accepted(answer.body)
    assert verdict.rejected == 300
    assert "too old" in verdict.reason
