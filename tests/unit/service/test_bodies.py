"""A request's body is read by its length or in chunks, up to a limit, and nothing else is taken for one."""

from __future__ import annotations

import io

import pytest

from hypertool.service.bodies import BadBody, read_body

MOST = 20


def read(raw: bytes, length: str = "", coding: str = "chunked") -> bytes:
    environ = {"CONTENT_LENGTH": length, "HTTP_TRANSFER_ENCODING": coding, "wsgi.input": io.BytesIO(raw)}
    return read_body(environ, MOST)


def test_body_of_known_length_is_read() -> None:
    """So many bytes, and not the next request's."""
    assert read(b"abcdef", "4", "") == b"abcd"


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"3;name=value\r\na\r\n\r\n0\r\nTrailer: x\r\n\r\n", b"a\r\n"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_chunks_are_put_together(raw: bytes, body: bytes) -> None:
    """Sizes in hexadecimal, extensions, trailers and no chunk at all."""
    assert read(raw) == body


@pytest.mark.parametrize(
    ("raw", "length", "coding", "status"),
    [
        (b"", "", "", 411),
        (b"", "-1", "", 411),
        (b"", "+3", "", 411),
        (b"", "\u0663", "", 411),
        (b"", "21", "", 413),
        (b"", "9" * 5000, "", 413),
        (b"0\r\n\r\n", "5", "chunked", 400),
        (b"0\r\n\r\n", "", "gzip, chunked", 400),
        (b"", "", "chunked", 400),
        (b"x\r\n", "", "chunked", 400),
        (b"-1\r\n", "", "chunked", 400),
        (b"0x3\r\nabc\r\n0\r\n\r\n", "", "chunked", 400),
        (b"3\nabc\n0\n\n", "", "chunked", 400),
        (b"3\r\nabcdef\r\n0\r\n\r\n", "", "chunked", 400),
        (b"9\r\nabc", "", "chunked", 400),
        (b"3\r\nabc\r\n", "", "chunked", 400),
        (b"1" * 5000, "", "chunked", 400),
        (b"1;" + b"x" * 5000 + b"\r\na\r\n0\r\n\r\n", "", "chunked", 400),
        (b"15\r\n" + b"a" * 21 + b"\r\n0\r\n\r\n", "", "chunked", 413),
        (b"ffffffff\r\n", "", "chunked", 413),
        (b"fffffffff\r\n", "", "chunked", 400),
    ],
)
def test_other_bodies_are_refused(raw: bytes, length: str, coding: str, status: int) -> None:
    """With the status that says why, and before more than the limit is held."""
    with pytest.raises(BadBody) as refused:
        read(raw, length, coding)
    assert refused.value.status.startswith(str(status))
