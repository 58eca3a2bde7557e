"""How far a file was read, so that the next reading continues there."""

from __future__ import annotations

import os
import zlib

from ...runtime.light_typing import NamedTuple

HEAD_BYTES = 256


class Position(NamedTuple):
    """How far a file was read.

    `offset` is in bytes for files of lines, a time in milliseconds for databases. `head_size` and `head` (a checksum)
    describe the file's first bytes: another file may have got the same inode. `stamp` is size and time at the last
    reading; `context` is what a reader remembers between lines (ids, model, names of sub-agents), or of a database the
    row at that time.
    """

    device: int
    inode: int
    offset: int = 0
    head_size: int = 0
    head: int = 0
    stamp: str = ""
    context: tuple[tuple[str, str], ...] = ()


def stamp_of(found: os.stat_result) -> str:
    """A value that changes with every write to the file."""
    return f"{found.st_size}:{found.st_mtime_ns}"


def still_valid(position: Position, descriptor: int, size: int) -> bool:
    """Whether the open file is the one that was read, and has not shrunk."""
    if size < position.head_size or size < position.offset:
        return False
    return zlib.crc32(os.pread(descriptor, position.head_size, 0)) == position.head


def begin(descriptor: int, found: os.stat_result) -> Position:
    """The start of a file that was never read."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    return Position(found.st_dev, found.st_ino, 0, len(head), zlib.crc32(head))
