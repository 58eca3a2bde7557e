"""The HTTP server under every service of a host: bounded requests, answers for local clients only.

Loopback is not private: a web page can make a browser on this host send requests here, also under a name of the page's
own domain (DNS rebinding). A request whose `Host` is a foreign name is therefore refused, and so is a change that a
page asks for (`Origin`). A request has one deadline in all, so that a client that sends a byte now and then holds no
thread for long.
"""

from __future__ import annotations

import errno
import io
import ipaddress
import socket
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, TypeVar

from ..errors import ConfigError
from ..runtime.settings import ALLOWED_HOSTS
from .addresses import Address, bind, taken

REQUEST_SECONDS = 10.0
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


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until one deadline, which the parts of a request share."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """True: http.server asks for it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises TimeoutError past the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class LocalHandler(BaseHTTPRequestHandler):
    """Request handling shared by all services: one deadline, a check of `Host` and `Origin`, no log lines."""

    timeout = REQUEST_SECONDS
    sys_version = ""

    def setup(self) -> None:
        """Read the whole request before one deadline."""
        super().setup()
        self.rfile = io.BufferedReader(_DeadlineReader(self.connection, REQUEST_SECONDS))

    def parse_request(self) -> bool:
        """Refuse requests of foreign web pages before the service sees them."""
        if not super().parse_request():
            return False
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

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


class LocalServer(TCPServer):
    """A mix-in for threading servers: socket, backlog, and no messages about clients that went away."""

    daemon_threads = True
    request_queue_size = BACKLOG
    listens_on: Address

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host name, which can take seconds."""
        self.server_address = bind(self.socket, self.server_address)

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
