"""What a ledger has counted, handed to the store exactly once, whatever is killed in between.

A batch is a snapshot of a process that has already ended. Its file is written beside the snapshots under another
name, then the ledger notes that it is ready, then the file is renamed: a rename happens once. A ledger that finds its
note and no file under the first name knows that the batch arrived, even if it was folded and removed since.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ..runtime.foreign_files import stamp, write_all
from .directory import SNAPSHOT_MODE, StateDirectory
from .snapshot_format import WRITER, encode


def prepare(directory: StateDirectory, batch: str, data: dict[str, Any]) -> None:
    """Write a batch where no reader looks yet; an unfinished one of that name is replaced.

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
        except OSError:  # on a full disk the rest of it would keep the space that it needs itself
            with contextlib.suppress(OSError):
                live.unlink(waiting)
            raise
        finally:
            os.close(descriptor)


def complete(directory: StateDirectory, batch: str) -> None:
    """Make a prepared batch count; nothing happens where it counts already. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), directory.open_live() as live:
        live.rename(_waiting(batch), f"{batch}.json")


def _waiting(batch: str) -> str:
    # No name that the exporter takes for a forgotten file and removes.
    return f".{batch}.ready"
