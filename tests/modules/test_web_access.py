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

import pytest

from tests.support.ansible_module import shared_code

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


def test_nobody_listens(password: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert shared_code("web_access").listener_users(port) == set()
