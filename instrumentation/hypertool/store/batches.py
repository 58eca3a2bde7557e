"""What a ledger has counted, handed to the store exactly once, whatever is killed in between.

A batch is a snapshot of a process that has already ended. Its file is written beside the snapshots under another
name, then the ledger notes that it is ready, then the file is renamed: a rename happens once. A ledger that finds its
note and no file under the first name knows that the batch arrived, even if it was folded and removed since.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from .directory import StateDirectory, create, stamp, write_all
from .snapshot_format import WRITER, encode


def prepare(directory: StateDirectory, batch: str, data: dict[str, Any]) -> None:
    """Write a batch where no reader looks yet; an unfinished one of that name is replaced.

    `batch` is 32 hexadecimal digits. Raises OSError or StoreUnavailable.
    """
    waiting = _waiting(directory, batch)
    with contextlib.suppress(FileNotFoundError):
        waiting.unlink()
    try:
        descriptor = create(waiting)
    except FileNotFoundError:
        directory.ensure()
        descriptor = create(waiting)
    try:
        write_all(descriptor, encode({WRITER: batch, **data}))
        stamp(descriptor)
    except OSError:  # on a full disk the rest of it would keep the space that it needs itself
        with contextlib.suppress(OSError):
            waiting.unlink()
        raise
    finally:
        os.close(descriptor)


def complete(directory: StateDirectory, batch: str) -> None:
    """Make a prepared batch count; nothing happens where it counts already. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(_waiting(directory, batch), directory.live / f"{batch}.json")


def _waiting(directory: StateDirectory, batch: str) -> Path:
    # No name that the exporter takes for a forgotten file and removes.
    return directory.live / f".{batch}.ready"
