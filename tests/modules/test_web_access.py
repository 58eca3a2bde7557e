"""The password of Prometheus and Alertmanager goes to services alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypertool.runtime.services import _is_service
from tests.support.ansible_module import ROOT, shared_code

PERSON = 12_345
_LISTEN = """
import os, socket, sys
os.setuid(int(sys.argv[1]))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "web_password"
    file.write_text("the-password\n")
    return file


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of a person's process."""
    if os.getuid() != 0:
        pytest.skip("needs root to start a process of another user")
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTEN, str(PERSON)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.communicate("")


def test_password_not_for_a_person(taken_port: int, password: Path) -> None:
    """A user who took the port of a service that is down gets no password, and is named."""
    access = shared_code("web_access")
    assert access.listener_users(taken_port) == {PERSON}
    with pytest.raises(PermissionError, match=f"user {PERSON}"):
        access.open_local(f"http://127.0.0.1:{taken_port}/", 5, str(password))


def test_password_for_a_service(password: Path) -> None:
    access, seen = shared_code("web_access"), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        access.open_local(f"http://127.0.0.1:{server.server_port}/", 5, str(password)).close()
    assert seen == ["Basic aHlwZXJ0b29sOnRoZS1wYXNzd29yZA=="]


@pytest.mark.parametrize(("uid", "system"), [(0, True), (999, True), (1000, False), (61184, True), (65534, False)])
def test_system_users(uid: int, system: bool) -> None:
    assert shared_code("web_access").is_system_user(uid) is system


def test_service_with_a_persons_number_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`useradd prometheus`, as guides have it, makes an account from 1000 on."""
    names = {1001: "prometheus", 1002: "ann"}
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_name=names[uid]))
    assert [shared_code("web_access").is_system_user(uid) for uid in (1001, 1002, 1003)] == [True, False, False]
    assert [_is_service(uid) for uid in (1001, 1002, 1003)] == [True, False, False]


def test_nobody_listens(password: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert shared_code("web_access").listener_users(port) == set()


def test_scrapes_without_password_are_named() -> None:
    """Users' files that scrape an exporter inside Alloy would be refused by its pages; others are not."""
    scrape = 'prometheus.scrape "mine" {\n\ttargets = prometheus.exporter.redis.mine.targets\n%s}\n'
    login = '\tbasic_auth {\n\t\tpassword_file = sys.env("HYPERTOOL_ALLOY_WEB_PASSWORD_FILE")\n\t}\n'
    files = {
        "without": scrape % "",
        "with": scrape % login,
        "elsewhere": 'prometheus.scrape "mine" {\n\ttargets = discovery.file.mine.targets\n}\n',
        "exporter": 'prometheus.exporter.redis "mine" { }\n',
    }
    assert shared_code("alloy").scrapes_without_password(files) == ["without"]


def test_alloy_is_asked_with_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness, components and the reload carry it; a person on Alloy's port is no answer, and named."""
    asked: list[tuple[str, str]] = []

    def open_local(url: str, timeout: float, method: str = "GET") -> None:
        asked.append((method, url))
        raise PermissionError(13, "port 12345 is held by a process of user 1000")

    alloy = shared_code("alloy")
    monkeypatch.setattr(alloy.web_access, "open_local", open_local)
    assert "user 1000" in alloy.Alloy("http://127.0.0.1:12345").not_ready()
    assert alloy.Alloy("http://127.0.0.1:12345").ask("/-/reload", "POST")[0] == 0
    assert asked == [("GET", "http://127.0.0.1:12345/-/ready"), ("POST", "http://127.0.0.1:12345/-/reload")]


@pytest.mark.shared_host("S7")
def test_no_service_can_be_stopped_over_http() -> None:
    """Prometheus has no lifecycle API, on hosts and in Compose; whatever ends a service, systemd starts it again."""
    units = [*(ROOT / "ansible/roles").glob("*/templates/*.conf.j2")]
    units += [*(ROOT / "ansible/roles").glob("*/templates/hypertool-*.service.j2")]
    started = {unit.name: text for unit in units if "ExecStart=" in (text := unit.read_text(encoding="utf-8"))}
    steady = {name: text for name, text in started.items() if "\nType=oneshot\n" not in text}
    assert len(steady) >= 6
    assert [name for name, text in steady.items() if "\nRestart=always\n" not in text] == []
    started["compose.yaml"] = (ROOT / "compose" / "compose.yaml").read_text(encoding="utf-8")
    assert [name for name, text in started.items() if "web.enable-lifecycle" in text] == []
