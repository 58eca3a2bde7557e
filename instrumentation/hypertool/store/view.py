"""Reads the whole store: the archive and every snapshot that it does not contain yet, exactly once each."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, locked
from ..runtime.light_typing import NamedTuple
from .admission import MAX_SETS, within_sets
from .archive import LOCK, Archive
from .directory import StateDirectory
from .generations import Generation
from .snapshot_format import MAX_BYTES
from .snapshots import ENTRIES_OF_A_USER, NAME, REFUSED, Signature, abandoned, lasting, read_snapshot, signature
from .totals import Totals

_TRIES = 5
_HELD_SECONDS = 0.5
# On a shared host, the total size of one user's files; further files of that user wait to be folded.
USER_BYTES = 8 * 2**20
# Limit on cached parsed files, in rows (about 400 bytes each).
_CACHED_ROWS = 50_000
_BACKWARDS_SECONDS = 1.0


class Merge(NamedTuple):
    """The exact sum of the host. `writers` are processes not folded yet, `unreadable` files that could not be used,
    `quarantined` all that was refused or set aside; `last_fold` is in seconds since the epoch, 0 before the first fold.
    """

    totals: Totals
    writers: int
    unreadable: int
    at: float
    quarantined: int = 0
    last_fold: float = 0.0


class _Known(NamedTuple):
    """The cached content of a file; no totals if it was refused, so that it is not read again."""

    signature: Signature
    totals: Totals | None
    user: int


class View:
    """Merges on request; a snapshot is parsed again only when its file has changed."""

    def __init__(self, directory: StateDirectory, archive: Archive | None = None) -> None:
        self._directory = directory
        self._archive = archive or Archive(directory)
        self._parsed: dict[str, _Known] = {}
        self._latest = 0.0

    def read(self, skip: str | None = None) -> Merge:
        """The current merge, without the writer `skip`. Raises StoreUnavailable."""
        try:
            for _ in range(_TRIES):
                merge = self._attempt(skip)
                if merge is not None:
                    return merge
            return self._held(skip)
        except FileNotFoundError:
            return Merge(Totals(), 0, 0, time.time())
        except OSError as error:
            raise self._directory.unavailable(error) from None

    def _held(self, skip: str | None) -> Merge:
        """The store was folded again and again while reading: hold off folding, if this user may."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(PermissionError):
                private = stack.enter_context(self._directory.open_private())
                stack.enter_context(locked(private, LOCK, _HELD_SECONDS, self._directory.file_mode))
            for _ in range(_TRIES * 10):
                merge = self._attempt(skip)
                if merge is not None:
                    return merge
                time.sleep(0.002)
        raise StoreUnavailable(f"the state directory {self._directory.path} changes faster than it can be read")

    def _attempt(self, skip: str | None) -> Merge | None:
        before = self._archive.signature()
        generation = self._archive.load()
        now = time.time()
        if now < self._latest - _BACKWARDS_SECONDS:
            self._parsed = {}  # the clock was set back: times that were valid may be in the future now
        self._latest = now
        totals = Totals()
        totals.add(generation.totals)
        totals.clamp(now)
        merge = self._add_live(totals, generation, skip, now)
        return merge if self._archive.signature() == before else None

    def _add_live(self, totals: Totals, generation: Generation, skip: str | None, now: float) -> Merge:
        seen: dict[str, _Known] = {}
        writers = rows = 0
        sizes: dict[int, int] = {}
        brought = self._archive.brought.copy()
        sets = {int(user): count for user, count in generation.sets.items()}
        served = self._directory.served
        try:
            live = self._directory.open_live()
        except FileNotFoundError:
            return self._merge(totals, 0, 0, now)
        with live:
            found, unreadable = _names(live, ENTRIES_OF_A_USER if served else None)
            self._archive.labels.members.see(status.st_uid for _, status in found)
            for name, status in found:
                writer = name[:-5]
                if writer in generation.folded or writer == skip:
                    continue
                # Before reading, so that files beyond the limit cost neither time nor memory.
                size = sizes[status.st_uid] = sizes.get(status.st_uid, 0) + min(status.st_size, MAX_BYTES)
                if served and size > USER_BYTES:
                    unreadable += 1
                    continue
                try:
                    known = self._snapshot(live, name, status, now)
                except FileNotFoundError:
                    continue  # its owner removed it, or it was folded: then the archive has changed as well
                snapshot = known.totals
                if snapshot is None:
                    unreadable += 1
                    seen[name] = known
                    continue
                rows += snapshot.size
                if rows < _CACHED_ROWS:
                    seen[name] = known
                if snapshot.reserved and abandoned(live, name):
                    snapshot.reserved = {}  # its process was killed, and its calls with it
                limited, new = within_sets(snapshot, totals, MAX_SETS - sets.get(known.user, 0))
                totals.add(brought.limit(limited, totals, known.user) if served else limited)
                sets[known.user] = sets.get(known.user, 0) + new
                writers += 1
        self._parsed = seen
        return self._merge(totals, writers, unreadable, now)

    def _merge(self, totals: Totals, writers: int, unreadable: int, now: float) -> Merge:
        aside = unreadable + self._archive.set_aside()
        return Merge(totals, writers, unreadable, now, aside, self._archive.folded_at)

    def _snapshot(self, live: Folder, name: str, found: os.stat_result, now: float) -> _Known:
        """Raises only FileNotFoundError; any other problem affects only this file."""
        current = signature(found)
        known = self._parsed.get(name)
        if known is not None and known.signature == current:
            return known
        try:
            snapshot = read_snapshot(live, name, self._archive.admission, now)
        except FileNotFoundError:
            raise
        except REFUSED as error:
            return _Known(current if lasting(error) else (0, 0, 0, found.st_size), None, found.st_uid)
        return _Known(current, snapshot.totals, snapshot.user)


def _names(live: Folder, most: int | None) -> tuple[list[tuple[str, os.stat_result]], int]:
    """Snapshots, at most that many of each owner; also how many other files have a name like one."""
    found = []
    others = 0
    owned: Counter[int] = Counter()
    with os.scandir(live.descriptor) as entries:
        for entry in entries:
            if not entry.name.endswith(".json"):
                continue
            if NAME.fullmatch(entry.name) is None:
                others += 1
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                owned[status.st_uid] += 1
                if most is not None and owned[status.st_uid] > most:
                    others += 1
                else:
                    found.append((entry.name, status))
    return found, others


def require_readable(directory: StateDirectory) -> None:
    """Raises StoreUnavailable if the store exists and this user may not read it."""
    if os.path.lexists(directory.path) and not os.access(directory.path, os.R_OK | os.X_OK):
        raise StoreUnavailable(
            f"the state directory {directory.path} may not be read by this user; become a member "
            f"of the group hypertool, or set HYPERTOOL_STATE_DIR"
        )
