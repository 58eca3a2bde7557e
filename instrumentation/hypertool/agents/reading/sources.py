"""Finds and opens session files: bounded, never through links, never another user's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

MAX_ENTRIES = 20_000


def readable_by_us(path: str) -> bool:
    """Whether that is a regular file of this user, not a link."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def open_source(path: str) -> int | None:
    """A descriptor to read a session file; None unless it is a regular file of this user. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    return None


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_ENTRIES:
                    return
                yield entry
    except OSError:
        return


def directories(folder: str) -> list[str]:
    """The folders in a folder by name, without following links."""
    return sorted(entry.path for entry in _entries(folder) if entry.is_dir(follow_symlinks=False))


def files_in(folder: str, ending: str) -> list[str]:
    """The files in a folder with that ending, by name, without following links."""
    return sorted(
        entry.path for entry in _entries(folder) if entry.name.endswith(ending) and entry.is_file(follow_symlinks=False)
    )


def files_below(folder: str, depth: int, ending: str) -> Iterator[str]:
    """Like `files_in`, at most `depth` folders down."""
    yield from files_in(folder, ending)
    if depth:
        for inner in directories(folder):
            yield from files_below(inner, depth - 1, ending)
