"""Reading the whole store: the archive and every snapshot that it does not contain yet, exactly once each."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ..errors import StoreUnavailable
from .archive import Archive, abandoned
from .directory import StateDirectory, locked, read_file
from .totals import Malformed, Totals, parse

_TRIES = 5
_Signature = tuple[int, int, int]


class Merge(NamedTuple):
    """The exact sum of the host. `writers` are processes not folded yet, `unreadable` files that could not be used."""

    totals: Totals
    writers: int
    unreadable: int
    at: float


class View:
    """Merges on request; a snapshot is parsed again only when its file has changed."""

    def __init__(self, directory: StateDirectory, archive: Archive | None = None) -> None:
        self._directory = directory
        self._archive = archive or Archive(directory)
        self._parsed: dict[str, tuple[_Signature, Totals | None]] = {}

    def read(self, skip: str | None = None) -> Merge:
        """The merge of now, without the writer `skip`. Raises StoreUnavailable."""
        try:
            for _ in range(_TRIES):
                merge = self._attempt(skip)
                if merge is not None:
                    return merge
            with locked(self._directory.path / "fold.lock"):  # folded again and again while reading: hold it still
                return self._attempt(skip) or Merge(Totals(), 0, 1, time.time())
        except FileNotFoundError:
            return Merge(Totals(), 0, 0, time.time())
        except OSError as error:
            raise self._directory.unavailable(error) from None

    def _attempt(self, skip: str | None) -> Merge | None:
        before = self._archive.signature()
        generation = self._archive.load()
        totals = Totals()
        totals.add(generation.totals)
        seen: dict[str, tuple[_Signature, Totals | None]] = {}
        unreadable = 0
        try:
            with os.scandir(self._directory.live) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(".json")]
        except FileNotFoundError:
            names = []
        for name in names:
            writer = name[:-5]
            if writer in generation.folded or writer == skip:
                continue
            try:
                seen[name] = self._snapshot(name)
            except FileNotFoundError:
                return None  # folded meanwhile
            except OSError:
                unreadable += 1
                continue
            snapshot = seen[name][1]
            if snapshot is not None and snapshot.reserved and abandoned(self._directory.live / name):
                snapshot.reserved = {}  # its process was killed, and the calls with it
            try:
                if snapshot is None:
                    raise Malformed(name)
                totals.add(snapshot)
            except Malformed:
                unreadable += 1
        if self._archive.signature() != before:
            return None
        self._parsed = seen
        readable = sum(snapshot is not None for _, snapshot in seen.values())
        return Merge(totals, readable, unreadable, time.time())

    def _snapshot(self, name: str) -> tuple[_Signature, Totals | None]:
        path = self._directory.live / name
        found = path.lstat()
        signature = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._parsed.get(name)
        if known is not None and known[0] == signature:
            return known
        try:
            return signature, parse(read_file(path))[0]
        except Malformed:
            return signature, None


def require_readable(directory: StateDirectory) -> None:
    """Raises StoreUnavailable where the store exists and this user may not read it."""
    if os.path.lexists(directory.path) and not os.access(directory.path, os.R_OK | os.X_OK):
        raise StoreUnavailable(
            f"the state directory {directory.path} may not be read by this user; become a member "
            f"of the group hypertool, or set HYPERTOOL_STATE_DIR"
        )
