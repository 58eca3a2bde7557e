"""A TLS server that checks basic auth per service and goes wrong on command; one for each service of the stand-in."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import socket
import ssl
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: What `fault` takes. None is up; "down" refuses connections; "black_hole" takes them and never answers.
FAULTS = (None, "down", "black_hole", "slow", "401", "403", "429", "500", "503")
SLOW_SECONDS = 3.0
RETRY_AFTER_SECONDS = 1


@dataclass
class Request:
    """One authenticated request, its body decompressed (snappy stays: it is part of the protocols)."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What the service says to it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, document: Any, status: int = 200) -> Answer:
        """A JSON answer."""
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


#: What a credential may do: None if it is not known here, else its scopes (metrics:write, logs:read, ...).
Scopes = Callable[[str, str], "frozenset[str] | None"]


class Front:
    """Serves one service at `url`. The port stays its own while it is down."""

    def __init__(
        self,
        name: str,
        address: str,
        certificate: Path,
        scopes: Scopes,
        serve: Callable[[Request], Answer],
        needs: Callable[[Request], str],
    ) -> None:
        self.name = name
        self.scopes, self.serve, self.needs = scopes, serve, needs
        self.counts: Counter[int] = Counter()
        self.bad_credentials: Counter[str] = Counter()  # by user id
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._fault: str | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._server = _server(self, address, self._context)
        self.url = f"https://{address}:{self._server.server_port}"
        self._listen()

    def fault(self, kind: str | None) -> None:
        """Go wrong in this way from now on, or (None) be well again."""
        if kind not in FAULTS:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(map(repr, FAULTS))}")
        was, self._fault = self._fault, kind
        if kind == "down" and was != "down":
            self._refuse()
        elif was == "down" and kind != "down":
            self._listen()

    def use_certificate(self, path: Path) -> None:
        """Show this certificate in every handshake from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._context = context

    def close(self) -> None:
        """End it."""
        self._closing.set()
        if self._fault != "down":
            self._refuse()
        self._server.server_close()

    def answer(self, request: Request) -> Answer | None:
        """What is said to a request; None for nothing at all."""
        kind = self._fault
        if kind == "black_hole":
            return None
        if kind == "slow":
            self._closing.wait(SLOW_SECONDS)
        answer = _refusal(kind) or self._refuse_credential(request) or self.serve(request)
        with self._lock:
            self.counts[answer.status] += 1
        return answer

    def _refuse_credential(self, request: Request) -> Answer | None:
        user, token = _credential(request.headers.get("authorization", ""))
        scopes = self.scopes(user, token)
        if scopes is None:
            with self._lock:
                self.bad_credentials[user] += 1
            return _error(401, "authentication error: invalid authentication credentials")
        if self.needs(request) not in scopes:
            return _error(403, "authentication error: invalid scope requested")
        return None

    # The connections

    def _listen(self) -> None:
        self._server.socket.listen(128)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"cloud-{self.name}", daemon=True
        )
        self._thread.start()

    def _refuse(self) -> None:
        """Stop listening but keep the port, and cut what is connected."""
        self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            connected = list(self._open)
        for connection in connected:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has just gone by itself

    def hold(self, connection: socket.socket) -> None:
        """Keep a connection open and silent until the client gives up or we end."""
        connection.settimeout(0.2)
        while not self._closing.is_set() and self._fault != "down":
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def converse(self, connection: socket.socket, handler: Callable[[ssl.SSLSocket], None]) -> None:
        """One connection from accept to close, in its own thread."""
        with self._lock:
            self._open.add(connection)
        try:
            if self._fault == "down":  # It was accepted just before, and not yet among those that were cut.
                return
            if self._fault == "black_hole":
                self.hold(connection)
                return
            connection.settimeout(30)
            with self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secured:
                with self._lock:
                    self._open.discard(connection)
                    self._open.add(secured)
                try:
                    if self._fault == "down":
                        return
                    secured.do_handshake()
                    secured.settimeout(300)
                    handler(secured)
                finally:
                    with self._lock:
                        self._open.discard(secured)
        except OSError:
            pass  # the client went away, or does not trust us: its affair
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _credential(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    try:
        user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, token) if kind.lower() == "basic" else ("", "")


def _error(status: int, text: str) -> Answer:
    return Answer.of_json({"status": "error", "error": text}, status)


def _refusal(kind: str | None) -> Answer | None:
    if kind is None or not kind.isdigit():
        return None
    answer = _error(int(kind), f"the stand-in was told to answer {kind}")
    if kind == "429":
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def _plain(encoding: str, body: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _server(front: Front, address: str, context: ssl.SSLContext) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = self.headers.get("Content-Length")
            if length is None and "chunked" in self.headers.get("Transfer-Encoding", ""):
                self._say(Answer(411, b"the stand-in takes requests of known length\n"))
                self.close_connection = True
                return
            body = self.rfile.read(int(length or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            try:
                body = _plain(headers.get("content-encoding", ""), body)
            except (OSError, EOFError, zlib.error) as error:
                self._say(Answer(400, f"body is not what Content-Encoding says: {error}\n".encode()))
                return
            path, _, query = self.path.partition("?")
            answer = front.answer(Request(self.command, path, query, headers, body))
            if answer is None:
                front.hold(self.connection)
                self.close_connection = True
                return
            self._say(answer)

        do_GET = do_POST = handle_any

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if answer.status != 204:
                self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Quiet: what arrived is asserted on, not read."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            front.converse(request, lambda secured: self.finish_request(secured, client_address))

    return _bound(Server, Handler, address)


def _bound(
    server: type[ThreadingHTTPServer], handler: type[BaseHTTPRequestHandler], address: str
) -> ThreadingHTTPServer:
    """A server on a free port, bound by number: only then does the port stay ours when listening stops."""
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        bound = server((address, port), handler, bind_and_activate=False)
        try:
            bound.server_bind()
            return bound
        except OSError:
            bound.server_close()
            if time.monotonic() > deadline:
                raise
