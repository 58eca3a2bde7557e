"""A small real forward proxy: CONNECT only, with basic auth if it is given a credential."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.loopback import Loopback


class ForwardProxy(Loopback):
    """Listens on loopback; `tunnels` are the host:port it was asked to connect to and did."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.tunnels: list[str] = []
        self._wanted = "Basic " + b64encode(f"{user}:{password}".encode()).decode() if user else ""

    def __enter__(self) -> ForwardProxy:
        self._serve(_handler(self.tunnels, self._wanted))
        return self


def _handler(tunnels: list[str], wanted: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if wanted and self.headers.get("Proxy-Authorization") != wanted:
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            host, _, port = self.path.rpartition(":")
            try:
                upstream = socket.create_connection((host, int(port)), timeout=10)
            except OSError as error:
                self.send_error(502, str(error))
                return
            tunnels.append(self.path)
            self.send_response(200)
            self.end_headers()
            upstream.settimeout(None)
            with upstream:
                back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
                back.start()
                _pump(self.connection, upstream)
                back.join(10)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
