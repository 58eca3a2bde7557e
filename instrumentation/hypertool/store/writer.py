"""One process's snapshot file. Its lock, not a pid, shows that the writer lives."""

from __future__ import annotations

import contextlib
import fcntl
import os

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, stamp, write_all
from . import snapshot_format
from .directory import SNAPSHOT_MODE, StateDirectory
from .snapshot_format import line, without_exemplars

# A file that reaches this size is replaced: this bounds what readers load, and what killed processes leave behind.
MAX_BYTES = 64 * 1024


class SnapshotWriter:
    """Writes this process's snapshots, holding a lock on the current file for as long as the process lives.

    The last complete line of the file counts. Appending a line takes 2 us; creating and renaming a file takes 200 us.
    """

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._size = MAX_BYTES
        self.id = os.urandom(16).hex()

    def write(self, members: str) -> None:
        """Publish a snapshot (`snapshot_format.members`).

        Raises OSError or StoreUnavailable; the previous one then stays in place.
        """
        raw = line(self.id, members)
        if len(raw) > snapshot_format.MAX_BYTES:  # exemplars are the only part that readers can do without
            raw = line(self.id, without_exemplars(members))
        if len(raw) > snapshot_format.MAX_BYTES:
            raise StoreUnavailable(
                f"this process has {len(raw)} bytes of numbers, and a snapshot may have {snapshot_format.MAX_BYTES}; "
                f"use fewer different label values"
            )
        if self._size + len(raw) > MAX_BYTES or not self._append(raw):
            self._replace(raw)

    def _append(self, raw: bytes) -> bool:
        """Add a line to the current file; False if that file is gone or the write is incomplete."""
        descriptor = self._descriptor
        if descriptor is None or not os.fstat(descriptor).st_nlink:
            return False
        size, self._size = self._size, MAX_BYTES  # after a partial write, nothing may be appended
        if os.write(descriptor, raw) != len(raw):
            return False
        self._size = size + len(raw)
        return True

    def _replace(self, raw: bytes) -> None:
        """Replace the current file atomically."""
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
            # Lock before the rename: a new file without a lock looks like a dead process's. And before other users may
            # open it: a lock of theirs would block ours.
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
                self.id = os.urandom(16).hex()  # another user took the name, which was visible before its use
            raise
        return descriptor

    def after_fork_in_child(self) -> None:
        """In a forked child: release the parent's lock and become a separate writer.

        Only this and the end of the process release the lock, because a snapshot that was folded must never be written
        again.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._size = MAX_BYTES
        self.id = os.urandom(16).hex()
