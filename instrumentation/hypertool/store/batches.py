"""Hands a ledger's counts to the store exactly once, even if a process is killed in between.

A batch is a snapshot of a process that has already ended. Its file is written beside the snapshots under another
name, then the ledger notes that it is ready, then the file is renamed, which can happen only once. A ledger that finds
its note but no file under the first name knows that the batch arrived, even if it was folded and removed since.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from ..runtime.foreign_files import Folder, stamp, write_all
from ..runtime.light_typing import Any
from .directory import SNAPSHOT_MODE, StateDirectory
from .snapshot_format import WRITER, encode


class NameTaken(OSError):
    """Another user has a file of that name: the batch needs another one."""


def prepare(directory: StateDirectory, batch: str, data: dict[str, Any]) -> None:
    """Write a batch where readers do not look yet; replaces an unfinished one of that name.

    `batch` is 32 hexadecimal digits. Raises NameTaken, OSError or StoreUnavailable.
    """
    waiting = _waiting(batch)
    try:
        live = directory.open_live()
    except FileNotFoundError:
        directory.ensure()
        live = directory.open_live()
    with live:
        with _taken(live, waiting), contextlib.suppress(FileNotFoundError):
            live.unlink(waiting)
        with _taken(live, waiting), live.creating(waiting, SNAPSHOT_MODE) as descriptor:
            write_all(descriptor, encode({WRITER: batch, **data}))
            stamp(descriptor)


def complete(directory: StateDirectory, batch: str) -> None:
    """Make a prepared batch count; does nothing if it already counts. Raises NameTaken (it does not count), OSError."""
    name = f"{batch}.json"
    with contextlib.suppress(FileNotFoundError), directory.open_live() as live, _taken(live, name):
        live.rename(_waiting(batch), name)


def discard(directory: StateDirectory, batch: str) -> None:
    """Remove a prepared batch that will not be completed under that name. Never raises."""
    with contextlib.suppress(OSError), directory.open_live() as live:
        live.unlink(_waiting(batch))


@contextlib.contextmanager
def _taken(live: Folder, name: str) -> Iterator[None]:
    """Raises NameTaken instead of another OSError if that name is another user's, or no file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        try:
            found = live.status(name)
        except OSError:
            raise error from None
        if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode):
            raise
        raise NameTaken(errno.EEXIST, f"the name is taken by user {found.st_uid}", str(live.path / name)) from None


def _waiting(batch: str) -> str:
    # Not a name that the exporter would remove as an abandoned file.
    return f".{batch}.ready"
