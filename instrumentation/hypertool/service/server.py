"""The HTTP server under every service of a host: bounded requests, answers for local clients only.

Loopback is not private: a web page can make a browser on this host send requests here, also under a name of the page's
own domain (DNS rebinding). A request whose `Host` is a foreign name is therefore refused, and so is a change that a
page asks for (`Origin`). The head of a request has a limit and a short deadline, the whole request another one, so that
a client that sends a byte now and then holds no thread for long. At most CONNECTIONS are served at once.
"""

from __future__ import annotations

import contextlib
import errno
import io
import ipaddress
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, TypeVar

from ..errors import ConfigError
from ..runtime.settings import ALLOWED_HOSTS
from .addresses import Address, bind, taken

REQUEST_SECONDS = 10.0
HEAD_SECONDS = 3.0
HEAD_BYTES = 32 << 10
# For what a client still sends after its answer. Enough for the largest body that a service takes, and some more.
DISCARD_SECONDS = 3.0
DISCARD_BYTES = 64 << 20
CONNECTIONS = 100
# The kernel's queue of connections that wait for a thread: a burst of scrapes and notifications must not be refused.
BACKLOG = 128

_Server = TypeVar("_Server", bound=TCPServer)


def host_allowed(header: str | None, address: Address) -> bool:
    """Whether a request with this `Host` header may be answered by a service that listens on `address`.

    A rebinding page has a domain name of its own there. IP addresses, `localhost`, this machine's names and the names
    of HYPERTOOL_ALLOWED_HOSTS are allowed; so are names without a dot (of containers) where the service listens beyond
    loopback. A client that sends no header is not a browser.
    """
    if header is None:
        return True
    name = _host_name(header)
    if name is None:
        return False
    if _is_ip(name) or name == "localhost" or name.endswith(".localhost"):
        return True
    if name in {allowed.strip().lower() for allowed in ALLOWED_HOSTS.read().split(",")} - {""}:
        return True
    if "." not in name:
        return not address.loopback or name == socket.gethostname().partition(".")[0].lower()
    return name == socket.gethostname().lower()


def _host_name(header: str) -> str | None:
    """The name or address in a `Host` header, lower case; None for what is neither."""
    text = header.strip().lower()
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        return inside if bracket and (not rest or _is_port(rest)) else None
    name, colon, _ = text.partition(":")
    if colon and not _is_port(text[len(name) :]):
        return None
    return name.rstrip(".") or None


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _HeadTooLong(Exception):
    """The request line and the headers have more than HEAD_BYTES together."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until one deadline, which the parts of a request share; the head has an earlier one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        now = time.monotonic()
        self._end = now + REQUEST_SECONDS
        self.deadline = min(self._end, now + HEAD_SECONDS)

    def head_is_complete(self) -> None:
        """From now on, the deadline is that of the whole request."""
        self.deadline = self._end

    def readable(self) -> bool:
        """True: http.server asks for it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises TimeoutError past the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _RequestReader(io.BufferedReader):
    """A request's bytes; http.server reads the lines of its head, and nothing else, with `readline`."""

    def __init__(self, raw: _DeadlineReader) -> None:
        super().__init__(raw)
        self._head_left = HEAD_BYTES
        self.body_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes of the body."""
        found = super().read(size)
        self.body_bytes += len(found)
        return found

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line. Raises _HeadTooLong once the lines exceed the limit."""
        most = self._head_left + 1
        line = super().readline(most if size is None or size < 0 else min(size, most))
        self._head_left -= len(line)
        if self._head_left < 0:
            raise _HeadTooLong
        return line


class LocalHandler(BaseHTTPRequestHandler):
    """Request handling shared by all services: deadlines, limits, a check of `Host` and `Origin`, no log lines."""

    timeout = REQUEST_SECONDS
    sys_version = ""
    # For an answer to a request whose first line was not read to its end.
    requestline = ""
    request_version = "HTTP/1.0"

    def setup(self) -> None:
        """Read the whole request before one deadline."""
        super().setup()
        self._reader = _DeadlineReader(self.connection)
        self.rfile = self._request = _RequestReader(self._reader)
        self._head_is_complete = False

    def handle(self) -> None:
        """Answer one request, also one that is not read to its end; a head that is too long gets 431."""
        try:
            super().handle()
        except _HeadTooLong:
            self._refuse(431, f"the head of a request may have {HEAD_BYTES} bytes")
        if not self._is_read():
            self._discard()

    def _is_read(self) -> bool:
        """Whether nothing of the request can still come: it has no body, or one of a length that was read."""
        if not self._head_is_complete or self.headers.get("Transfer-Encoding") is not None:
            return False
        length = self.headers.get("Content-Length") or ("0" if self.command in ("GET", "HEAD") else "")
        return length.isascii() and length.isdigit() and len(length) < 19 and int(length) <= self._request.body_bytes

    def parse_request(self) -> bool:
        """Refuse requests of foreign web pages before the service sees them."""
        if not super().parse_request():
            return False
        self._head_is_complete = True
        self._reader.head_is_complete()
        self.server.head_is_complete(self.connection)  # type: ignore[attr-defined]
        address: Address = self.server.listens_on  # type: ignore[attr-defined]
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1 or not host_allowed(hosts[0] if hosts else None, address):
            self._refuse(
                421,
                f"Host {', '.join(hosts)!r:.80} is not a name of this service; "
                f"use http://{address}/, or list the name in {ALLOWED_HOSTS.name}",
            )
            return False
        if self.command not in ("GET", "HEAD") and self.headers.get("Origin") is not None:
            self._refuse(403, "web pages may not change anything here (the request has an Origin)")
            return False
        return True

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True
        data = text.encode("ascii", "backslashreplace") + b"\n"
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:  # The client is gone.
            return

    def _discard(self) -> None:
        """End the answer to a request that was not read to its end, and read what still comes, up to a limit.

        Closing while bytes are unread would reset the connection before the client has read the answer.
        """
        self.server.is_answered(self.connection)  # type: ignore[attr-defined]
        self._reader.deadline = time.monotonic() + DISCARD_SECONDS
        left, buffer = DISCARD_BYTES, bytearray(65536)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (size := self._reader.readinto(buffer)):
                left -= size

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


class LocalServer(TCPServer):
    """A mix-in for threading servers: socket, backlog, a limit of connections, no messages about clients that left."""

    daemon_threads = True
    request_queue_size = BACKLOG
    listens_on: Address

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._lock = threading.Lock()
        self._served: set[socket.socket] = set()
        # In the order of their arrival.
        self._droppable: dict[socket.socket, None] = {}
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host name, which can take seconds."""
        self.server_address = bind(self.socket, self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its own thread.

        Of too many, the oldest without a complete head, or whose answer was sent, is dropped; without any, the new one.
        """
        with self._lock:
            full = len(self._served) >= CONNECTIONS
            dropped = next(iter(self._droppable), request) if full else None
            if dropped is not None:
                self._forget(dropped)
                # Its thread then reads the end, and closes it: not before this lock is free.
                with contextlib.suppress(OSError):
                    dropped.shutdown(socket.SHUT_RDWR)
            if dropped is not request:
                self._served.add(request)
                self._droppable[request] = None
        if dropped is request:
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def head_is_complete(self, request: socket.socket) -> None:
        """Keep that connection: its request is under way."""
        with self._lock:
            self._droppable.pop(request, None)

    def is_answered(self, request: socket.socket) -> None:
        """Only what the client still sends is read from that connection: others have a better claim to its place."""
        with self._lock:
            if request in self._served:
                self._droppable[request] = None

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._forget(request)
        super().shutdown_request(request)

    def _forget(self, request: socket.socket) -> None:
        self._served.discard(request)
        self._droppable.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the client went away."""


def listen(address: Address, variable: str, make: type[_Server], *arguments: Any) -> _Server:
    """`make(address, *arguments)`, listening. Raises PortTaken or ConfigError that name `variable` and the value."""

    class Server(make):  # type: ignore[valid-type,misc]
        address_family = address.family
        listens_on = address

    try:
        server: _Server = Server((address.host, address.port), *arguments)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken(address, variable) from None
        raise ConfigError(f"{variable}={address}: cannot listen there: {error.strerror}") from None
    return server
