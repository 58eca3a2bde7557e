"""Labelled doubles of servers that are down, each in one of the ways that networks know; on loopback, on free ports.

They stand in for an OTLP endpoint or a Langfuse server at its worst. What they say is real bytes on real sockets.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.cloud.authority import Authority
from tests.support.otlp_receiver import BlackHole, OtlpReceiver, refused_url

Answer = Callable[[socket.socket, threading.Event], None]


class Death(NamedTuple):
    """How a server is dead: what its spans are counted as, a word of the log line, and how to be it.

    `patient` deaths never answer: the line is then only about what was not delivered, if the process did not wait.
    """

    outcome: str
    word: str
    serve: Callable[[Path], contextlib.AbstractContextManager[str]]
    patient: bool = False


@contextlib.contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Runs `answer` on each connection; yields the base URL. The event is set when the server is to end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def one(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                if tls is None:
                    answer(connection, over)
                else:
                    with tls.wrap_socket(connection, server_side=True) as secure:
                        answer(secure, over)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        name = "http://127.0.0.1" if tls is None else "https://localhost"
        try:
            yield f"{name}:{server.getsockname()[1]}"
        finally:
            over.set()
            with contextlib.suppress(OSError):  # wakes accept()
                server.shutdown(socket.SHUT_RDWR)


def take_request(connection: socket.socket) -> bytes:
    """Read one whole HTTP request; returns it."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("no request")
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def trickle(connection: socket.socket, over: threading.Event) -> None:
    """An answer that comes in single bytes and never ends."""
    take_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.05):
        connection.sendall(b"x")


def reset(connection: socket.socket, _: threading.Event) -> None:
    """The connection is reset in the middle of the answer."""
    take_request(connection)
    connection.sendall(b"HTTP/1.1 2")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(connection: socket.socket, over: threading.Event) -> None:
    """Another protocol."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    connection.recv(65536)
    over.wait(0.2)


def endless(status: str) -> Answer:
    """An answer of that status whose body never ends."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        take_request(connection)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {10**12}\r\n\r\n".encode())
        while not over.is_set():
            connection.sendall(b"x" * 65536)

    return answer


def swallow(connection: socket.socket, over: threading.Event) -> None:
    """Takes the whole request and never answers."""
    take_request(connection)
    over.wait()


@contextlib.contextmanager
def _black_hole(scheme: str) -> Iterator[str]:
    with BlackHole() as hole:
        yield hole.url.replace("http", scheme, 1)


@contextlib.contextmanager
def _answering(status: int, **headers: str) -> Iterator[str]:
    with OtlpReceiver(status, {name.replace("_", "-"): value for name, value in headers.items()}) as receiver:
        yield receiver.url


@contextlib.contextmanager
def _plain_where_tls_is_spoken() -> Iterator[str]:
    with serving(garbage) as url:
        yield url.replace("http", "https", 1)


@contextlib.contextmanager
def _unknown_authority(directory: Path) -> Iterator[str]:
    with serving(swallow, tls_server(Authority(directory, "unknown"))) as url:
        yield url


def tls_server(authority: Authority) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for `localhost`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("server", ["localhost"]))
    return context


DEATHS: dict[str, Death] = {
    "refused": Death("dropped", "refused", lambda _: contextlib.nullcontext(refused_url())),
    "black hole": Death("dropped", "not delivered", lambda _: _black_hole("http"), patient=True),
    "slow": Death("dropped", "not delivered", lambda _: serving(swallow), patient=True),
    "trickling": Death("dropped", "not delivered", lambda _: serving(trickle), patient=True),
    "reset": Death("dropped", "reset by peer", lambda _: serving(reset)),
    "garbage": Death("dropped", "does not speak HTTP", lambda _: serving(garbage)),
    "silent TLS": Death("dropped", "not delivered", lambda _: _black_hole("https"), patient=True),
    "garbage for TLS": Death("dropped", "SSL", lambda _: _plain_where_tls_is_spoken()),
    "unknown authority": Death("dropped", "CERTIFICATE_VERIFY_FAILED", _unknown_authority),
    "no such host": Death("dropped", "does not answer", lambda _: contextlib.nullcontext("http://nobody.invalid:4318")),
    "503": Death("dropped", "503", lambda _: _answering(503)),
    "429": Death("dropped", "429", lambda _: _answering(429, Retry_After="30")),
    "400": Death("failure", "400", lambda _: _answering(400)),
    "401": Death("failure", "401", lambda _: _answering(401)),
    "redirect": Death(
        "failure", "elsewhere.invalid", lambda _: _answering(307, Location="https://elsewhere.invalid/v1/traces")
    ),
    "endless answer": Death("failure", "500", lambda _: serving(endless("500 Internal Server Error"))),
}
