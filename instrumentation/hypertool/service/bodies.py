"""Reads the body of a request that a WSGI server leaves unread: by its length, or in chunks (RFC 9112, section 7.1)."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_LINE_BYTES = 256
"""The most that a chunk's size and its extensions may have."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")


class BadBody(Exception):
    """A body that is not read; `status` is the status line of the answer, the text says what was expected."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def read_body(environ: WSGIEnvironment, most: int) -> bytes:
    """The body, of at most so many bytes. Raises BadBody, and OSError if the client is gone or too slow."""
    length, coding = environ.get("CONTENT_LENGTH") or "", environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    if coding:
        if coding != "chunked" or length:
            raise BadBody("400 Bad Request", "expected a Content-Length, or chunks and no other transfer encoding")
        return _chunks(environ["wsgi.input"], most)
    if not (length.isascii() and length.isdigit()):
        raise BadBody("411 Length Required", f"expected a Content-Length of at most {most}, or chunks")
    if len(length) > 18 or int(length) > most:
        raise BadBody("413 Content Too Large", f"expected a body of at most {most} bytes")
    body: bytes = environ["wsgi.input"].read(int(length))
    return body


def _chunks(stream: IO[bytes], most: int) -> bytes:
    body = bytearray()
    while size := _size(stream):
        if len(body) + size > most:
            raise BadBody("413 Content Too Large", f"expected a body of at most {most} bytes")
        chunk = stream.read(size)
        if len(chunk) != size or stream.read(2) != b"\r\n":
            raise BadBody("400 Bad Request", "a chunk is shorter or longer than its size")
        body += chunk
    # The server discards what follows the last chunk (trailers): it answers one request a connection.
    return bytes(body)


def _size(stream: IO[bytes]) -> int:
    # Not `readline`, which counts towards the limit of the head.
    line = bytearray()
    while not line.endswith(b"\r\n"):
        byte = stream.read(1)
        if not byte or len(line) > _LINE_BYTES:
            raise BadBody("400 Bad Request", "a chunk without a size")
        line += byte
    found = _SIZE.fullmatch(line[:-2])
    if found is None:
        raise BadBody("400 Bad Request", "a chunk without a size")
    return int(found[1], 16)
