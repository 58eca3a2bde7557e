"""A stand-in for a provider that does to a connection what a test says, byte by byte, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer

Answer = Callable[["Asked", "Connection"], None]


@dataclass
class Asked:
    """A request as it arrived: its first line, its headers (lower case), its body."""

    line: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """The other end of a request. `write` raises OSError where the gateway has closed it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.written = 0

    def write(self, data: bytes) -> None:
        """Send those bytes now."""
        self.socket.sendall(data)
        self.written += len(data)

    def head(self, kind: str = "text/event-stream", status: str = "200 OK", **more: str) -> None:
        """Begin a chunked answer."""
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items()]
        self.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n{''.join(lines)}\r\n".encode()
        )

    def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        self.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """Complete a chunked answer."""
        self.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection in the middle."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def closed(self, seconds: float = 20.0) -> bool:
        """Whether the gateway closes the connection in that time."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            try:
                return self.socket.recv(1) == b""
            except ConnectionError:
                return True
        return False


@dataclass
class Upstream:
    """Answers every request with `answer`; `asked` has what arrived."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Upstream]:
    """An upstream on a free port of loopback."""
    upstream = Upstream(answer)

    class Handler(StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while (asked := _read(self.rfile)) is not None:
                    upstream.asked.append(asked)
                    upstream.answer(asked, Connection(self.connection))

    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 512

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield upstream
        server.shutdown()


def _read(stream: object) -> Asked | None:
    line = stream.readline().decode("latin-1").rstrip("\r\n")  # type: ignore[attr-defined]
    if not line:
        return None
    headers = {}
    while header := stream.readline().decode("latin-1").rstrip("\r\n"):  # type: ignore[attr-defined]
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
    return Asked(line, headers, body)
