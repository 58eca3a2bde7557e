"""What the gateway adds to a call: beside no proxy, a plain nginx, and LiteLLM's proxy, in one interleaved run."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.rounds import row
from tests.conftest import free_port
from tests.gateway.answers import chat
from tests.gateway.upstreams import Asked, Connection, serving
from tests.support.debian_binaries import BinariesUnavailable, unpacked
from tests.support.hypertool_host import wait_until

pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")

HYPERTOOL = Path(sys.executable).with_name("hypertool")
ROUNDS = 400
EVENTS = 200
LONG = 6000
BODY = (
    b'{"model":"gpt-4.1","stream":true,"stream_options":{"include_usage":true},'
    b'"messages":[{"role":"user","content":"%s"}]}'
)
NGINX = """daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{}}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
upstream u {{ server {upstream}; keepalive 8; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
LITELLM = """general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
model_list:
  - model_name: gpt-4.1
    litellm_params: {{model: openai/gpt-4.1, api_base: "{upstream}/v1", api_key: none}}
"""


def answer(asked: Asked, connection: Connection) -> None:
    """A stream, one chunk an event: EVENTS more for a long prompt, so that no first byte waits for them."""
    events = chat(1)
    connection.head()
    connection.chunk(events[0])
    if len(asked.body) > LONG:
        for _ in range(EVENTS):
            connection.chunk(events[1])
    for event in events[2:]:
        connection.chunk(event)
    connection.end()


class Contender:
    """One connection, kept open, to one proxy."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.path = path
        self.first: list[float] = []
        self.whole: list[float] = []

    def request(self, size: int) -> bytes:
        body = BODY % (b"x" * size)
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Authorization: Bearer none\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def call(self) -> None:
        """Two calls: seconds to the first event of a short answer, and to the end of a long one."""
        self.first.append(self._ask(self.request(4000))[0])
        self.whole.append(self._ask(self.request(2 * LONG))[1])

    def _ask(self, request: bytes) -> tuple[float, float]:
        began = time.perf_counter()
        self.socket.sendall(request)
        got = b""
        while b"data:" not in got:
            got += self.socket.recv(1 << 16)
        first = time.perf_counter() - began
        while not got.endswith(b"0\r\n\r\n"):
            got += self.socket.recv(1 << 16)
        return first, time.perf_counter() - began


@contextlib.contextmanager
def process(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """A server that listens on that port."""
    made = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def listens() -> bool:
        assert made.poll() is None, f"{command} ended with {made.returncode}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        wait_until(listens, f"{command[0]} to listen", 120)
        yield
    finally:
        made.terminate()
        made.wait(60)


def _nginx() -> str | None:
    found = shutil.which("nginx")
    if found:
        return found
    try:
        return str(unpacked("bookworm", ("nginx",)) / "usr/sbin/nginx")
    except BinariesUnavailable as error:
        row("the gateway beside nginx", "-", "-", f"not measured: {error}"[:80])
        return None


def _litellm() -> str | None:
    found = os.environ.get("HYPERTOOL_BENCHMARK_LITELLM") or shutil.which("litellm")
    if found is None:
        row("the gateway beside LiteLLM", "-", "-", "not measured: HYPERTOOL_BENCHMARK_LITELLM names no `litellm`")
    return found


@pytest.mark.benchmark
def test_gateway_adds_a_millisecond(tmp_path: Path) -> None:
    """At most 1 ms to the first byte, and the stream's pace: no more than twice a plain nginx's time for the rest."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(serving(answer))
        address = upstream.url.removeprefix("http://")
        ports = {"no proxy": int(address.rpartition(":")[2])}
        port = ports["gateway"] = free_port()
        listen = {"HYPERTOOL_GATEWAY_OPENAI": upstream.url, "HYPERTOOL_GATEWAY_LISTEN": f"127.0.0.1:{port}"}
        stack.enter_context(process([str(HYPERTOOL), "gateway"], port, **listen))
        if (nginx := _nginx()) is not None:
            port = ports["nginx"] = free_port()
            config = tmp_path / "nginx.conf"
            config.write_text(NGINX.format(folder=tmp_path, upstream=address, port=port))
            stack.enter_context(process([nginx, "-c", str(config), "-p", str(tmp_path)], port))
        if (litellm := _litellm()) is not None:
            port = ports["LiteLLM"] = free_port()
            config = tmp_path / "litellm.yaml"
            config.write_text(LITELLM.format(upstream=upstream.url))
            command = [litellm, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
            stack.enter_context(process(command, port))
        paths = {"gateway": "/openai/v1/chat/completions"}
        contenders = {name: Contender(port, paths.get(name, "/v1/chat/completions")) for name, port in ports.items()}
        for number in range(ROUNDS):
            for name, one in contenders.items():
                if name != "LiteLLM" or number < ROUNDS // 8:  # it takes long
                    one.call()
    # Of the quietest rounds: other work on the machine must not count.
    first = {name: _idle(one.first) * 1e3 for name, one in contenders.items()}
    whole = {name: _idle(one.whole) * 1e3 for name, one in contenders.items()}
    for name in contenders:
        added = f"{first[name] - first['no proxy']:+.2f} ms"
        median = f"median {statistics.median(contenders[name].first) * 1e3:.2f} ms"
        row(f"first byte, {name}", f"{first[name]:.2f} ms", added, median)
        row(f"{EVENTS} events, {name}", f"{whole[name]:.2f} ms", f"{whole[name] / whole['no proxy']:.2f} x", "")
    assert first["gateway"] - first["no proxy"] <= 1.0


def _idle(times: list[float]) -> float:
    return sorted(times)[len(times) // 20]
