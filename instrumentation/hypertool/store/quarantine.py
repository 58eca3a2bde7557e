"""Refused files that were set aside: kept for a person to examine, counted, and never read again."""

from __future__ import annotations

import contextlib
import os
import time

from ..runtime.foreign_files import Folder
from ..runtime.logs import log, once
from .directory import StateDirectory
from .snapshot_reader import ForeignVersion

FOLDER = "quarantine"
# How many are kept for examination. More would fill the disk; the cause is an attack or a faulty program.
MAX_FILES = 100
_ARCHIVE = "archive.corrupt-"


class Quarantine:
    """Sets aside what a fold cannot use. Snapshots are moved only in a store that belongs to the service."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._found = 0
        self._until = float("-inf")

    def take(self, live: Folder, name: str, error: Exception) -> bool:
        """Move a finished snapshot out of `live`; False if it stays there. Never raises."""
        if not self._directory.served or isinstance(error, (ForeignVersion, PermissionError)):
            return False  # readable after an upgrade, or by the user who owns it
        try:
            with self._directory.open_private() as private, contextlib.suppress(FileExistsError):
                os.mkdir(FOLDER, 0o700, dir_fd=private.descriptor)
            with Folder(self._directory.private, FOLDER) as kept:
                user = live.status(name).st_uid
                if len(os.listdir(kept.descriptor)) >= MAX_FILES:
                    live.unlink(name)
                    once.warn(
                        FOLDER,
                        f"{self._directory.private / FOLDER} has {MAX_FILES} files: what is refused from now on (the "
                        f"last of it by user {user}) is removed; look at them, and delete them",
                    )
                    return True
                live.rename(name, name, kept)
                self._until = float("-inf")
        except OSError:
            return False
        log.error(
            "a snapshot of user %s is refused and moved to %s: %s",
            user,
            self._directory.private / FOLDER / name,
            str(error)[:200],
        )
        return True

    def take_archive(self, shared: Folder, name: str, instead: int) -> None:
        """Rename a corrupt archive. Raises OSError: then nothing may be written in its place."""
        kept = f"{_ARCHIVE if name == 'archive.json' else 'archive.prev.corrupt-'}{time.time_ns()}.json"
        shared.rename(name, kept)
        self._until = float("-inf")
        log.error(
            "the archive %s is corrupt and kept as %s; %s",
            shared.path / name,
            kept,
            f"generation {instead} is used instead"
            if instead
            else "NO generation of it can be read, so the counters of finished processes start at 0",
        )

    def has_archives(self) -> bool:
        """Whether an archive was set aside; one from before the service's own folders must not replace it."""
        with contextlib.suppress(OSError), self._directory.open_shared() as shared:
            return any(".corrupt-" in name for name in os.listdir(shared.descriptor))
        return False

    def count(self) -> int:
        """How many files were set aside, as far as this user can see them; checked at most once a second."""
        if time.monotonic() >= self._until:
            self._found = self._count()
            self._until = time.monotonic() + 1.0
        return self._found

    def _count(self) -> int:
        found = 0
        with contextlib.suppress(OSError), self._directory.open_shared() as shared:
            found += sum(".corrupt-" in name for name in os.listdir(shared.descriptor))
        if self._directory.served:
            with contextlib.suppress(OSError), Folder(self._directory.private, FOLDER) as kept:
                found += len(os.listdir(kept.descriptor))
        return found
