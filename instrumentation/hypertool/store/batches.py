"""Hands a ledger's counts to the store exactly once, even if a process is killed in between.

A batch is a snapshot of a process that has already ended. Its file is written beside the snapshots under another
name, then the ledger notes that it is ready, then the file is renamed, which can happen only once. A ledger that finds
its note but no file under the first name knows that the batch arrived, even if it was folded and removed since.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ..runtime.foreign_files import stamp, write_all
from .directory import SNAPSHOT_MODE, StateDirectory
from .snapshot_format import WRITER, encode


def prepare(directory: StateDirectory, batch: str, data: dict[str, Any]) -> None:
    """Write a batch where readers do not look yet; replaces an unfinished one of that name.

    `batch` is 32 hexadecimal digits. Raises OSError or StoreUnavailable.
    """
    waiting = _waiting(batch)
    try:
        live = directory.open_live()
    except FileNotFoundError:
        directory.ensure()
        live = directory.open_live()
    with live:
        with contextlib.suppress(FileNotFoundError):
            live.unlink(waiting)
        descriptor = live.create(waiting, SNAPSHOT_MODE)
        try:
            write_all(descriptor, encode({WRITER: batch, **data}))
            stamp(descriptor)
        except OSError:  # on a full disk, the partial file would take the space that the next attempt needs
            with contextlib.suppress(OSError):
                live.unlink(waiting)
            raise
        finally:
            os.close(descriptor)


def complete(directory: StateDirectory, batch: str) -> None:
    """Make a prepared batch count; does nothing if it already counts. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), directory.open_live() as live:
        live.rename(_waiting(batch), f"{batch}.json")


def _waiting(batch: str) -> str:
    # Not a name that the exporter would remove as an abandoned file.
    return f".{batch}.ready"
