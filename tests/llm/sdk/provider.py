"""A provider on loopback that answers with what a row says: the real SDKs parse real bytes off a real socket."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    timeout = 30  # for a connection on which nobody asks anything

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server: Any = self.server
        self.send_response(200)
        for name, value in server.headers_out.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(server.body)

    def do_GET(self) -> None:
        server: Any = self.server
        server.body = server.pages[self.path].encode()
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is for its failures."""


class Provider:
    """`url` answers every POST with the body set last."""

    def __init__(self) -> None:
        # A thread for each connection: one that a client opened and left must not hold up the next.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def json(self, body: Any, headers: dict[str, str] | None = None) -> str:
        """Answer with `body` as JSON."""
        return self._set(json.dumps(body).encode(), "application/json", headers)

    def pages(self, pages: dict[str, str]) -> str:
        """Answer a GET of each path with its JSON, or lines of JSON."""
        server: Any = self._server
        server.pages = pages
        return self._set(b"", "application/json")

    def events(self, events: Iterable[Any], named: bool = False, done: bool = False) -> str:
        """Answer with server-sent events; `named` after their type, `done` with OpenAI's last line."""
        lines = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
        return self._set(("".join(lines) + "data: [DONE]\n\n" * done).encode(), "text/event-stream")

    def amazon(self, events: Iterable[tuple[str, dict[str, Any]]]) -> str:
        """Answer with events in Amazon's binary framing."""
        body = b"".join(_frame(kind, json.dumps(payload).encode()) for kind, payload in events)
        return self._set(body, "application/vnd.amazon.eventstream")

    def _set(self, body: bytes, kind: str, headers: dict[str, str] | None = None) -> str:
        server: Any = self._server
        server.body, server.headers_out = body, {"Content-Type": kind, **(headers or {})}
        return self.url


def _frame(kind: str, payload: bytes) -> bytes:
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    )
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


PROVIDER = Provider()
