"""A password of the host goes to its services, and to no person who took a service's port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.cli.series import read_bill
from hypertool.report import prometheus
from hypertool.runtime.services import stranger

PERSON = 12_345
#: Answers every request, and prints the credential that it was sent.
_SERVER = """
import encodings.idna, http.server, os, sys  # afterwards, root's libraries may be out of reach
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("sent:", self.headers["Authorization"], flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
os.setuid(int(sys.argv[1]))
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def taken() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A port of a person's process, and the process."""
    if os.getuid() != 0:
        pytest.skip("run as root: it starts a process of another user")
    command = [sys.executable, "-c", _SERVER, str(PERSON)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    yield int(process.stdout.readline()), process
    process.kill()
    process.wait()
    process.stdout.close()


def test_person_on_a_port_is_named(taken: tuple[int, subprocess.Popen[str]]) -> None:
    assert {stranger(host, taken[0]) for host in ("127.0.0.1", "localhost")} == {PERSON}


def test_series_send_a_person_no_password(taken: tuple[int, subprocess.Popen[str]], tmp_path: Path) -> None:
    """`hypertool status --series`, which root runs, asks nothing of a port that a person has, and says whose it is."""
    port, process = taken
    password = tmp_path / "password"
    password.write_text("secret\n", encoding="utf-8")
    job = {"job": "node", "url": f"http://127.0.0.1:{port}/", "kept": ".*", "filters_up": True}
    told = {
        "collector_url": f"http://localhost:{port}/",
        "jobs": [{**job, "seconds": 60, "seconds_without": 15}],
        "password_file": str(password),
    }
    (tmp_path / "collector.json").write_text(json.dumps(told), encoding="utf-8")
    bill = read_bill(tmp_path / "collector.json")
    assert bill is not None
    assert [f"user {PERSON}" in note for note in bill.notes] == [True, True]
    process.kill()
    assert process.stdout is not None
    assert "sent:" not in process.stdout.read()


def test_report_has_no_password_for_a_person(
    taken: tuple[int, subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n", encoding="utf-8")
    monkeypatch.setattr(prometheus, "LOGIN_FILE", password)
    monkeypatch.setattr(prometheus, "stranger", lambda host, _: stranger(host, taken[0]))
    assert prometheus.own_password("http://127.0.0.1:9090/") == ""


@pytest.mark.parametrize("user", [0, 999, 61184, 65519, 65534])
def test_services_are_no_strangers(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypertool.runtime.tcp_sockets.listening_users", lambda *_: {user})
    assert stranger("127.0.0.1", 9090) is None
