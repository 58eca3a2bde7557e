"""A gateway of each test's own, as the process that users run, in front of a stand-in for providers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")

HYPERTOOL = Path(sys.executable).with_name("hypertool")


@pytest.fixture(autouse=True)
def _isolated(own_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Running:
    """A `hypertool gateway`; `end` stops it, so that everything is counted."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.port = urlsplit(url).port or 0
        self.said = ""

    def end(self) -> None:
        """SIGTERM, and wait; `said` is then what it wrote."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        self.said += out + err
        assert self.process.returncode == 0, self.said

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def post(
        self, path: str, body: dict[str, Any] | bytes | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body as it came, and headers (lower case) of a request."""
        raw = body if isinstance(body, bytes) else json.dumps(body or {"model": "gpt-4.1"}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", path, raw, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts gateways in front of a URL."""
    started: list[Running] = []

    def begin(upstream: str, **environment: str) -> Running:
        names = ("ANTHROPIC", "OPENAI", "GEMINI")
        process = subprocess.Popen(
            [str(HYPERTOOL), "gateway"],
            env={
                **os.environ,
                "HYPERTOOL_GATEWAY_LISTEN": "127.0.0.1:0",
                **{f"HYPERTOOL_GATEWAY_{name}": upstream for name in names},
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("gateway on http://"), process.communicate(timeout=30)
        running = Running(process, line.split()[2].rstrip("/"))
        running.said = line
        started.append(running)
        return running

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate(timeout=30)
