"""The server under exporter and alert log: loopback is not private, and no client holds a thread for long."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.domain.personas import load_catalogue
from hypertool.service import server
from hypertool.service.addresses import Address
from hypertool.service.agent_telemetry import AgentTelemetry
from hypertool.service.alert_log import AlertFile, AlertLog
from hypertool.service.exporter import Exporter
from hypertool.service.server import host_allowed
from tests.support.store_writers import store

LOOPBACK = Address("127.0.0.1", 9464)
EVERYWHERE = Address("0.0.0.0", 9464)
NOTIFICATION = json.dumps({"alerts": [], "received_at": "1999-01-01T00:00:00.000Z"}).encode()


@pytest.fixture(params=["exporter", "alert-log"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Exporter | AlertLog]:
    """Each of the two services, on a port of its own, as its unit runs it."""
    address = Address("127.0.0.1", 0)
    found: Exporter | AlertLog
    if request.param == "exporter":
        files = store(tmp_path / "state"), load_catalogue()
        found = Exporter(address, *files, reload=False, telemetry=AgentTelemetry())
    else:
        found = AlertLog(address, AlertFile(tmp_path / "alerts.jsonl"))
    found.start()
    yield found
    found.close()


def ask(service: Exporter | AlertLog, *lines: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request as it stands, read until the server closes; the status (0 for no answer) and the whole answer."""
    with socket.create_connection(("127.0.0.1", service.address.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0, answer


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9464", "localhost:9464", "LOCALHOST", "[::1]:9464", "agents.localhost", "10.1.2.3:9464"],
)
def test_host_local_names_are_allowed(host: str) -> None:
    """IP addresses and localhost cannot be rebound by a page; `localhost` is what Prometheus is configured with."""
    assert host_allowed(host, LOOPBACK)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9464",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example.",
        "[::1].evil.example",
        "[::1",
        "127.0.0.1:9464:evil.example",
        "localhost:evil.example",
        "",
        " ",
        "exporter:9464",
    ],
)
def test_host_foreign_names_are_refused(host: str) -> None:
    """A page reaches loopback under a name of its own domain (DNS rebinding): no such name is served."""
    assert not host_allowed(host, LOOPBACK)


def test_host_container_names_beyond_loopback() -> None:
    """Compose addresses services by names without a dot, which no public domain can have."""
    assert host_allowed("exporter:9464", EVERYWHERE)
    assert not host_allowed("evil.example:9464", EVERYWHERE)


def test_host_names_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERTOOL_ALLOWED_HOSTS", "agents.example.org, Other.example.org")
    assert host_allowed("agents.example.org:9464", LOOPBACK)
    assert host_allowed("other.example.org", LOOPBACK)
    assert not host_allowed("evil.example.org", LOOPBACK)


LARGE = 20 << 20
UNREAD = {
    "foreign host": (421, ["Host: evil.example", f"Content-Length: {LARGE}"]),
    "web page": (403, ["Host: localhost", "Origin: null", f"Content-Length: {LARGE}"]),
    "no length": (411, ["Host: localhost"]),
    "too large": (413, ["Host: localhost", f"Content-Length: {LARGE}"]),
    "odd length": (411, ["Host: localhost", "Content-Length: -1"]),
}


@pytest.mark.parametrize("shape", UNREAD)
def test_refusal_reaches_who_sends_a_body(service: Exporter | AlertLog, shape: str) -> None:
    """A client that sends its whole body before it reads has the answer, and no reset connection."""
    status, lines = UNREAD[shape]
    head = ["POST /v1/logs HTTP/1.1", *lines, "Content-Type: application/json"]
    assert ask(service, *head, body=bytes(LARGE))[0] == status


def test_refused_chunks_get_their_answer(service: Exporter | AlertLog) -> None:
    """Also where more chunks come than are taken, or than are taken at all."""
    head = ["POST /v1/logs HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    body = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    assert ask(service, *head, body=body * 20)[0] == (413 if isinstance(service, Exporter) else 411)


def test_body_without_end_is_not_read_for_ever(service: Exporter | AlertLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent after an answer is read up to a limit; then the connection is closed."""
    monkeypatch.setattr(server, "DISCARD_BYTES", 1 << 20)
    monkeypatch.setattr(server, "DISCARD_SECONDS", 60.0)
    with socket.create_connection(("127.0.0.1", service.address.port), timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 999999999999\r\n\r\n")
        more = (connection.sendall(bytes(1 << 20)) for _ in range(1000))
        with pytest.raises(ConnectionError):
            list(more)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/healthz", "/nothing"])
@pytest.mark.shared_host("S8")
def test_rebound_page_reads_nothing(service: Exporter | AlertLog, path: str) -> None:
    status, answer = ask(service, f"GET {path} HTTP/1.1", "Host: evil.example")
    assert status == 421
    assert b"hypertool_" not in answer


def test_two_hosts_are_refused(service: Exporter | AlertLog) -> None:
    """A proxy may look at the one and the server at the other."""
    assert ask(service, "GET / HTTP/1.1", "Host: localhost", "Host: evil.example")[0] == 421


def test_pages_can_change_nothing(service: Exporter | AlertLog) -> None:
    """A browser names the page in Origin on every POST; Alertmanager sends none."""
    head = [
        "POST / HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(NOTIFICATION)}",
    ]
    assert ask(service, *head, "Origin: https://evil.example", body=NOTIFICATION)[0] == 403
    assert ask(service, *head, "Origin: null", body=NOTIFICATION)[0] == 403


def test_no_answer_allows_another_origin(service: Exporter | AlertLog) -> None:
    """Without CORS headers a browser hides the answer from a page of another origin."""
    _, answer = ask(service, "GET /metrics HTTP/1.1", "Host: localhost", "Origin: https://evil.example")
    assert b"access-control-allow" not in answer.lower()


@pytest.mark.shared_host("S23")
def test_alert_log_stamps_the_time_itself(tmp_path: Path) -> None:
    """The sender cannot choose `received_at`."""
    alert_log = AlertLog(Address("127.0.0.1", 0), AlertFile(tmp_path / "alerts.jsonl"))
    assert alert_log.take(NOTIFICATION) == (200, "ok")
    assert not json.loads((tmp_path / "alerts.jsonl").read_text())["received_at"].startswith("1999")


@pytest.mark.shared_host("S23")
def test_drip_fed_request_is_ended(service: Exporter | AlertLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """One deadline for the whole request: a byte now and then does not extend it."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1.0)
    with socket.create_connection(("127.0.0.1", service.address.port), timeout=30) as connection:
        begun = time.monotonic()
        ended = threading.Event()

        def drip() -> None:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
            while not ended.wait(0.1):
                try:
                    connection.sendall(b"X-A: b\r\n")
                except OSError:
                    return

        feeder = threading.Thread(target=drip)
        feeder.start()
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass
        ended.set()
        feeder.join()
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("shape", ["headers", "header", "line", "many"])
def test_head_too_long_is_refused(service: Exporter | AlertLog, shape: str) -> None:
    """A head of more than 32 KiB is answered with 431, whatever it is made of; one below it is served."""
    path = "/-/healthy" if isinstance(service, Exporter) else "/healthz"
    heads = {
        "headers": [f"GET {path} HTTP/1.1", *(f"X-{n}: {'a' * 4000}" for n in range(90))],
        "header": [f"GET {path} HTTP/1.1", f"X-A: {'a' * 40_000}"],
        "line": [f"GET {path}?{'a' * 40_000} HTTP/1.1"],
        "many": [f"GET {path} HTTP/1.1", *(f"X-{n}: {'a' * 4000}" for n in range(1000))],
    }
    assert ask(service, *heads[shape])[0] == 431
    assert ask(service, f"GET {path} HTTP/1.1", *(f"X-{n}: {'a' * 1000}" for n in range(30)))[0] == 200


def test_unfinished_head_is_ended_early(service: Exporter | AlertLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head has a shorter deadline than the whole request."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 60.0)
    with socket.create_connection(("127.0.0.1", service.address.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert connection.recv(1) == b""


def test_slow_body_outlives_the_head_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the head has the short deadline; the body may take the time of the whole request."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    alert_log = AlertLog(Address("127.0.0.1", 0), AlertFile(tmp_path / "alerts.jsonl"))
    alert_log.start()
    try:
        with socket.create_connection(("127.0.0.1", alert_log.address.port), timeout=20) as connection:
            head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(NOTIFICATION)}\r\n\r\n".encode())
            connection.settimeout(0.6)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(20)
            connection.sendall(NOTIFICATION)
            assert connection.recv(100).startswith(b"HTTP/1.0 200")
    finally:
        alert_log.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /nothing HTTP/1.1\r\nContent-Length: 9\r\n\r\n"], ids=["no head", "answered"]
)
def test_idle_connections_leave_room(
    service: Exporter | AlertLog, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """With more idle connections open than are served at once, a request is answered; the oldest idle one is closed."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 10.0)  # a busy machine takes its time, too
    monkeypatch.setattr(server, "DISCARD_SECONDS", 10.0)
    path = "/-/healthy" if isinstance(service, Exporter) else "/healthz"
    idle = []
    try:
        for _ in range(140):
            idle.append(socket.create_connection(("127.0.0.1", service.address.port), timeout=20))
            idle[-1].sendall(sent)
            if sent and len(idle) <= server.CONNECTIONS:
                assert idle[-1].recv(100).startswith(b"HTTP/1.0 404")
        begun = time.monotonic()
        assert [ask(service, f"GET {path} HTTP/1.1", "Host: localhost")[0] for _ in range(3)] == [200] * 3
        while idle[0].recv(100):
            pass
        assert time.monotonic() - begun < server.HEAD_SECONDS, "idle connections were dropped, not waited for"
    finally:
        for one in idle:
            one.close()


@pytest.mark.shared_host("S23")
def test_burst_of_clients_is_answered(service: Exporter | AlertLog) -> None:
    """Sixty connections at once wait in the backlog instead of being refused."""
    path = "/-/healthy" if isinstance(service, Exporter) else "/healthz"
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(service, f"GET {path} HTTP/1.1", "Host: localhost")[0]))
        for _ in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text; version=1.x.0",
        "text/plain;version=1.0.0a",
        'text/plain;version="1.0.0"',
        f"text/plain;version={'1' * 5000}",
        "text/plain;version=\u00b2",
        "application/openmetrics-text;version=2.0\r\n .x",
        "application/openmetrics-text;version=1.0.0,text/plain;version=-",
    ],
)
def test_odd_accept_gets_the_default_format(tmp_path: Path, capfd: pytest.CaptureFixture[str], accept: str) -> None:
    """A version that is no number is answered in the default format, without a traceback in the log."""
    exporter = Exporter(Address("127.0.0.1", 0), store(tmp_path / "state"), load_catalogue(), reload=False)
    exporter.start()
    try:
        status, answer = ask(exporter, "GET /metrics HTTP/1.1", f"Accept: {accept}")
    finally:
        exporter.close()
    assert (status, b"text/plain; version=0.0.4" in answer) == (200, True)
    assert "Traceback" not in capfd.readouterr().err


def test_known_accept_keeps_its_format(tmp_path: Path) -> None:
    """What Prometheus asks for is served: OpenMetrics."""
    exporter = Exporter(Address("127.0.0.1", 0), store(tmp_path / "state"), load_catalogue(), reload=False)
    exporter.start()
    try:
        accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3"
        answer = ask(exporter, "GET /metrics HTTP/1.1", f"Accept: {accept}")[1]
    finally:
        exporter.close()
    assert b"application/openmetrics-text; version=1.0.0" in answer
