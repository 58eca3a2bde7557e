"""One process's snapshot file. The lock on it, not a pid, says that its writer lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Any

from .directory import StateDirectory, create, stamp, write_all
from .snapshot_format import WRITER, encode


class SnapshotWriter:
    """Replaces this process's snapshot atomically, holding a lock on the current file for as long as it lives."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self.id = os.urandom(16).hex()

    def write(self, data: dict[str, Any]) -> None:
        """Publish a snapshot. Raises OSError or StoreUnavailable; the one before it then stays in place."""
        live = self._directory.live
        temporary = live / f".{self.id}.tmp"
        raw = encode({WRITER: self.id, **data})
        try:
            descriptor = create(temporary)
        except FileNotFoundError:
            self._directory.ensure()
            descriptor = create(temporary)
        except FileExistsError:  # left by a write that failed before its clean-up
            temporary.unlink()
            descriptor = create(temporary)
        try:
            # Before the rename: whoever finds the new file unlocked may take it for a dead process's.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(descriptor, raw)
            stamp(descriptor)
            os.rename(temporary, live / f"{self.id}.json")
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def after_fork_in_child(self) -> None:
        """In a forked child: let go of the parent's lock and become a writer of its own.

        There is no other way to let go: the lock ends with the process, for a snapshot that was folded must never
        be written again.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.id = os.urandom(16).hex()
