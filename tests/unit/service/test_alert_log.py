"""The alert log: notifications become lines in the journal and in a bounded file."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hypertool.service import alert_log as alert_log_module
from hypertool.service.addresses import Address
from hypertool.service.alert_log import AlertFile, AlertLog
from tests.support.hypertool_host import Host, wait_until

NOTIFICATION = {
    "version": "4",
    "status": "firing",
    "receiver": "alert-log",
    "groupLabels": {"alertname": "TokenBudgetExceeded"},
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "TokenBudgetExceeded", "persona": "backend-engineer"},
            "annotations": {"summary": "spent\n\x1b[31m red \u2028"},
            "startsAt": "2026-01-01T00:00:00Z",
        }
    ],
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[AlertLog]:
    alert_log = AlertLog(Address("127.0.0.1", 0), AlertFile(tmp_path / "alerts.jsonl", limit=20_000))
    alert_log.start()
    yield alert_log
    alert_log.close()


def request(
    alert_log: AlertLog, method: str = "POST", path: str = "/", body: bytes | None = None, **headers: str
) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", alert_log.address.port, timeout=60)
    data = json.dumps(NOTIFICATION).encode() if body is None and method == "POST" else body
    connection.request(
        method,
        path,
        data,
        {"Content-Type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}},
    )
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_notification_is_one_line(running: AlertLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each notification is one line in the journal and one in the file."""
    assert request(running) == (200, "ok\n")
    (line,) = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert capsys.readouterr().out == line + "\n"
    assert line.isascii(), "nothing in an alert's text can drive a terminal or break the line"
    assert "\x1b" not in line
    written = json.loads(line)
    assert written.pop("received_at").endswith("Z")
    assert written == NOTIFICATION


def test_the_file_is_the_groups_whatever_the_umask(running: AlertLog, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        request(running)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "alerts.jsonl").stat().st_mode) == 0o660


def test_health_is_answered_and_nothing_else_is_there(running: AlertLog) -> None:
    assert request(running, "GET", "/healthz") == (200, "ok\n")
    assert request(running, "GET", "/etc/passwd")[0] == 404
    assert request(running, "DELETE", "/")[0] == 501


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"alerts": 3}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
    ],
)
def test_foreign_bodies_are_refused(running: AlertLog, tmp_path: Path, body: bytes, status: int) -> None:
    """A body that is not a notification is refused, and nothing is written."""
    assert request(running, body=body)[0] == status
    assert not (tmp_path / "alerts.jsonl").exists()
    assert request(running)[0] == 200


def test_body_size_and_content_type_are_limited(running: AlertLog, tmp_path: Path) -> None:
    """A body has a size limit, and a web page cannot post one."""
    assert request(running, body=b"", Content_Length="20000000")[0] == 413
    assert request(running, body=b"", Content_Length="9" * 5000)[0] == 413
    assert request(running, body=b"", Content_Length="-1")[0] == 411
    assert request(running, Content_Type="text/plain")[0] == 415
    assert request(running, Content_Type="application/x-www-form-urlencoded")[0] == 415
    assert not (tmp_path / "alerts.jsonl").exists()


def test_body_too_large_is_answered(running: AlertLog) -> None:
    """A client that sends its whole body before it reads gets the answer, not a reset."""
    assert request(running, body=bytes(8 << 20))[0] == 413


def group_of(count: int, text: str = "spent \u00e9 <!channel>") -> dict[str, object]:
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "A", "persona": f"p{number}"},
            "annotations": {"summary": text * 20},
        }
        for number in range(count)
    ]
    return {**NOTIFICATION, "alerts": alerts}


@pytest.mark.parametrize("count", [49, 200, 1000, 5000])
def test_large_groups_are_taken_in_whole_lines(
    running: AlertLog, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """Every alert of a group arrives once and in order, in lines that journald does not cut (48 KiB)."""
    assert request(running, body=json.dumps(group_of(count)).encode()) == (200, "ok\n")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 48 * 1024
    written = [json.loads(line) for line in lines]
    assert [alert["labels"]["persona"] for one in written for alert in one["alerts"]] == [
        f"p{number}" for number in range(count)
    ]
    assert [one["status"] for one in written] == ["firing"] * len(written)
    assert [one.get("part", 1) for one in written] == list(range(1, len(written) + 1))
    assert {one.get("parts", 1) for one in written} == {len(written)}


@pytest.mark.parametrize(
    "odd",
    [
        {**NOTIFICATION, "alerts": [{"annotations": {"description": "x" * 100_000}}, {"labels": {"a": "b"}}]},
        {**NOTIFICATION, "alerts": [{"labels": {f"label{n}": "y" * 90 for n in range(2_000)}}]},
        {**NOTIFICATION, "commonAnnotations": {"summary": "\u00e9" * 100_000}},
        {**NOTIFICATION, "z" * 100_000: [[[[["deep"] * 1_000]]]]},
        {**NOTIFICATION, "alerts": ["\u2028" * 50_000, [["n"] * 50_000], 3, None]},
    ],
    ids=["long text", "many labels", "long common text", "long key", "no alerts"],
)
def test_what_is_longer_than_a_line_is_shortened(
    running: AlertLog, capsys: pytest.CaptureFixture[str], odd: dict[str, object]
) -> None:
    """A text that is longer than a line by itself is cut and says so; the line stays a JSON object."""
    assert request(running, body=json.dumps(odd).encode()) == (200, "ok\n")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 48 * 1024
    assert all(isinstance(json.loads(line)["alerts"], list) for line in lines)
    assert any("characters)" in line or "entries)" in line for line in lines)


def test_the_file_is_rotated_once_and_stays_bounded(running: AlertLog, tmp_path: Path) -> None:
    for _ in range(150):
        assert request(running)[0] == 200
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"alerts.jsonl", "alerts.jsonl.1"}
    assert all(size <= 20_000 for size in sizes.values())
    for path in tmp_path.iterdir():
        assert all(json.loads(line)["status"] == "firing" for line in path.read_text().splitlines())


def test_flood_keeps_the_older_file(running: AlertLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many arrive within a day, the alerts from before are still there; after a day, the file rotates."""
    assert request(running, body=b'{"alerts": [{"labels": {"alertname": "FromBefore"}}]}')[0] == 200
    flood = json.dumps(group_of(100)).encode()
    for _ in range(5):
        assert request(running, body=flood)[0] == 200
    older, newer = tmp_path / "alerts.jsonl.1", tmp_path / "alerts.jsonl"
    assert b"FromBefore" in older.read_bytes()
    assert newer.stat().st_size <= 20_000 or len(newer.read_bytes().splitlines()) == 1
    monkeypatch.setattr(alert_log_module, "KEPT_SECONDS", 0.0)
    for _ in range(3):
        assert request(running, body=flood)[0] == 200
    assert b"FromBefore" not in older.read_bytes()


@pytest.mark.parametrize("part", [b"[],", b"{},", b'[[]],{"":[]},'])
def test_dense_body_needs_bounded_memory(tmp_path: Path, part: bytes) -> None:
    """Many bodies at once that parse into as many objects as they can need the memory of one of them."""
    done = Host(tmp_path).python(f"""
        import resource, threading
        from pathlib import Path
        from http.client import HTTPConnection
        from hypertool.service.addresses import Address
        from hypertool.service.alert_log import BODY_LIMIT, AlertFile, AlertLog
        service = AlertLog(Address("127.0.0.1", 0), AlertFile(Path("alerts.jsonl")))
        service.start()
        part = {part!r}
        body = b'{{"a":[' + part * ((BODY_LIMIT - 100) // len(part)) + b'0]}}'
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        def post():
            connection = HTTPConnection("127.0.0.1", service.address.port, timeout=60)
            connection.request("POST", "/", body, {{"Content-Type": "application/json"}})
            assert connection.getresponse().status in (400, 503)
        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """)
    assert int(done.stdout) < 250, done.stderr


def test_slow_large_body_holds_up_no_alert(running: AlertLog) -> None:
    """While a large body arrives slowly, notifications of the usual size are taken."""
    with socket.create_connection(("127.0.0.1", running.address.port)) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n{"
        )
        wait_until(running.reading.locked, "the large body to be read")
        assert request(running)[0] == 200


def test_concurrent_notifications_are_whole_lines(running: AlertLog, tmp_path: Path) -> None:
    threads = [threading.Thread(target=request, args=(running,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]) == 16


def test_full_disk_makes_alertmanager_retry(
    running: AlertLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the file cannot be written, the answer makes Alertmanager send again."""
    (tmp_path / "alerts.jsonl").mkdir()
    assert [request(running)[0] for _ in range(3)] == [503, 503, 503]
    assert len(caplog.records) == 1, "one line for each change of state"
    (tmp_path / "alerts.jsonl").rmdir()
    assert request(running)[0] == 200


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    # A file size limit cuts a write short, like a disk that is almost full.
    done = Host(tmp_path).python("""
        import resource, sys
        from pathlib import Path
        from hypertool.service.alert_log import AlertFile
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        file = AlertFile(Path("alerts.jsonl"))
        for _ in range(3):
            file.append("x" * 299)
        try:
            file.append("y" * 299)
        except OSError as error:
            print(error.strerror)
    """)
    assert done.stdout == "No space left on device\n", done.stderr
    assert (tmp_path / "work" / "alerts.jsonl").read_text() == ("x" * 299 + "\n") * 3


def test_a_client_that_sends_nothing_holds_nobody_up(running: AlertLog) -> None:
    with socket.create_connection(("127.0.0.1", running.address.port)):
        assert request(running)[0] == 200


def service(host: Host, port: int, **more: str) -> subprocess.Popen[str]:
    return host.background(
        host.command("alert-log"),
        {"HYPERTOOL_ALERT_LOG_LISTEN": f"127.0.0.1:{port}", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_service_notifies_systemd_and_stops(tmp_path: Path) -> None:
    """The service tells systemd when it is ready, and ends with 0 on SIGTERM."""
    host, port = Host(tmp_path), free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        running = service(host, port, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(100) == b"READY=1"
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/", json.dumps(NOTIFICATION), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        running.send_signal(signal.SIGTERM)
        assert systemd.recv(100) == b"STOPPING=1"
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert json.loads(out)["alerts"] == NOTIFICATION["alerts"]
    assert json.loads((host.state / "alerts.jsonl").read_text())["status"] == "firing"


def test_restart_takes_the_port_at_once(tmp_path: Path) -> None:
    """A new process can listen on the port right after the last one ended."""
    host, port = Host(tmp_path), free_port()
    for _ in range(2):
        running = service(host, port)
        alert_log = wait_until(lambda: _connected(port), "the service to listen")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        assert running.returncode == 0
        alert_log.close()


def _connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), 1.0)
    except OSError:
        return None


def test_taken_port_names_its_holder(tmp_path: Path) -> None:
    """A taken port is one line of error that names the process which holds it."""
    host = Host(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = service(host, taken.getsockname()[1])
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 1
    (line,) = errors.splitlines()
    assert f"pid {os.getpid()} (" in line
    assert "HYPERTOOL_ALERT_LOG_LISTEN" in line


@pytest.mark.parametrize("address", ["9465", "localhost:http", "127.0.0.1:99999", "example.org:1", "192.0.2.1:9465"])
def test_a_wrong_address_is_one_line_that_names_it(tmp_path: Path, address: str) -> None:
    host = Host(tmp_path)
    started = time.monotonic()
    done = host.hypertool("alert-log", HYPERTOOL_ALERT_LOG_LISTEN=address)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "HYPERTOOL_ALERT_LOG_LISTEN" in done.stderr
    assert time.monotonic() - started < 15
