"""One process's snapshot file. The lock on it, not a pid, says that its writer lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Any

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, stamp, write_all
from . import snapshot_format
from .directory import SNAPSHOT_MODE, StateDirectory
from .snapshot_format import LINE_END, WRITER, encode, without_exemplars

# A file is replaced when it has grown to this: it bounds what readers load, and what killed processes leave behind.
MAX_BYTES = 64 * 1024


class SnapshotWriter:
    """Writes this process's snapshots, holding a lock on the current file for as long as the process lives.

    The last complete line of the file counts. Appending one takes 2 us where creating and renaming a file takes 200.
    """

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._size = MAX_BYTES
        self.last_size = 0
        self.id = os.urandom(16).hex()

    def write(self, data: dict[str, Any]) -> None:
        """Publish a snapshot. Raises OSError or StoreUnavailable; the one before it then stays in place."""
        raw = encode({WRITER: self.id, **data}) + LINE_END
        if len(raw) > snapshot_format.MAX_BYTES:  # the examples are the only part that readers can do without
            raw = encode({WRITER: self.id, **without_exemplars(data)}) + LINE_END
        if len(raw) > snapshot_format.MAX_BYTES:
            raise StoreUnavailable(
                f"this process has {len(raw)} bytes of numbers, and a snapshot may have {snapshot_format.MAX_BYTES}; "
                f"use fewer different label values"
            )
        self.last_size = len(raw)
        if self._size + len(raw) > MAX_BYTES or not self._append(raw):
            self._replace(raw)

    def _append(self, raw: bytes) -> bool:
        """Add a line to the current file; False if that file is gone or refuses it."""
        descriptor = self._descriptor
        if descriptor is None or not os.fstat(descriptor).st_nlink:
            return False
        self._size = MAX_BYTES  # should the write fail half done, nothing may follow it
        if os.write(descriptor, raw) != len(raw):
            return False
        self._size = os.lseek(descriptor, 0, os.SEEK_CUR)
        return True

    def _replace(self, raw: bytes) -> None:
        """Put a new file in the place of the current one, atomically."""
        try:
            live = self._directory.open_live()
        except FileNotFoundError:
            self._directory.ensure()
            live = self._directory.open_live()
        with live:
            descriptor = self._put(live, raw)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = len(raw)

    def _put(self, live: Folder, raw: bytes) -> int:
        temporary = f".{self.id}.tmp"
        try:
            descriptor = live.create(temporary, 0o600)
        except FileExistsError:  # left by a write that failed before its clean-up
            live.unlink(temporary)
            descriptor = live.create(temporary, 0o600)
        try:
            # Before the rename: a new file without a lock looks like a dead process's. And before others may open
            # it: a lock of theirs would be in the way.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, SNAPSHOT_MODE)
            write_all(descriptor, raw)
            stamp(descriptor)
            live.rename(temporary, f"{self.id}.json")
        except BaseException as error:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                live.unlink(temporary)
            if isinstance(error, PermissionError) and self._descriptor is None:
                self.id = os.urandom(16).hex()  # another user took the name, which was seen before it was used
            raise
        return descriptor

    def after_fork_in_child(self) -> None:
        """In a forked child: let go of the parent's lock and become a writer of its own.

        There is no other way to let go: the lock ends with the process, for a snapshot that was folded must never
        be written again.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._size = MAX_BYTES
        self.id = os.urandom(16).hex()
