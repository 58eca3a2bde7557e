"""Decodes copies of compressed answers piece by piece; what the client gets stays compressed as it came."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

PIECE = 64 << 10
MAX_DECODED = 64 << 20
"""Bytes of one answer that are decoded; a larger one is not read to its end."""


class TooLarge(Exception):
    """The answer has more than MAX_DECODED bytes."""


class Undecodable(Exception):
    """The bytes are not of the encoding that the answer names."""


Decode = Callable[[bytes], Iterator[bytes]]


def readable() -> tuple[str, ...]:
    """The content encodings that can be read here."""
    return ("identity", "gzip", "x-gzip", "deflate", *(name for name, find in _EXTRA.items() if find() is not None))


def narrowed(accepted: str) -> str:
    """An Accept-Encoding without the encodings that cannot be read here; unchanged where all can.

    The client then gets an encoding that it accepts too, and that can be read. Without anything left: `identity`.
    """
    known = (*readable(), "*") if len(readable()) == 4 + len(_EXTRA) else readable()
    offered = [part.strip() for part in accepted.split(",")]
    kept = [part for part in offered if part.partition(";")[0].strip().lower() in known]
    return accepted if len(kept) == len(offered) else ", ".join(kept) or "identity"


def decoder(encoding: str) -> Decode | None:
    """What turns pieces of that content encoding into plain ones; None where it cannot be read here."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return lambda data: iter((data,))
    if name in ("gzip", "x-gzip"):
        return _bounded(_Zlib(31))
    if name == "deflate":
        return _bounded(_Zlib(15))
    library = _EXTRA[name]() if name in _EXTRA else None
    if library is None:
        return None
    return _bounded(_Brotli(library) if name == "br" else _Zstd(library))


class _Zlib:
    def __init__(self, window: int) -> None:
        self._state = zlib.decompressobj(window)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._state.eof:
            yield self._state.decompress(data, PIECE)
            data = self._state.unconsumed_tail


class _Brotli:
    def __init__(self, library: Any) -> None:
        self._state = library.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._state.process(data, output_buffer_limit=PIECE)
        while not self._state.can_accept_more_data():
            yield self._state.process(b"", output_buffer_limit=PIECE)


class _Zstd:
    def __init__(self, library: Any) -> None:
        self._state = library.ZstdDecompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._state.eof:
            return
        yield self._state.decompress(data, PIECE)
        while not self._state.eof and not self._state.needs_input:
            yield self._state.decompress(b"", PIECE)


def _bounded(state: _Zlib | _Brotli | _Zstd) -> Decode:
    total = 0

    def decode(data: bytes) -> Iterator[bytes]:
        nonlocal total
        pieces = state.pieces(data)
        while True:
            try:
                piece = next(pieces, None)
            except Exception as error:  # each library has errors of its own
                raise Undecodable(type(error).__name__) from None
            if piece is None:
                return
            total += len(piece)
            if total > MAX_DECODED:
                raise TooLarge
            yield piece

    return decode


def _first(*names: str) -> Callable[[], Any]:
    def find() -> Any:
        for name in names:
            try:
                return import_module(name)
            except ImportError:
                continue
        return None

    return find


_EXTRA = {"br": _first("brotli", "brotlicffi"), "zstd": _first("compression.zstd", "backports.zstd")}
