"""The archive: the sums of every finished process, and the exactly-once way into it.

A generation lists the snapshots that it contains (`folded`), and every reader skips a listed snapshot. Their files are
removed only when two generations on disk contain and list them: the newest, and the previous one, which is used if the
newest is corrupt. A name leaves the list when its file is gone. So a crash at any instruction leaves either a file
that is not yet in the sums, or one that the archive says to skip.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from ..domain.budget_windows import KEEP_WINDOWS_SECONDS
from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, locked
from ..runtime.light_typing import NamedTuple
from ..runtime.logs import once
from . import tidying
from .admission import MAX_SETS, Admission, within_sets
from .allowances import Allowances
from .directory import StateDirectory
from .generations import EMPTY, FILE, MAX_BYTES, PREVIOUS, Generation, read_generation, write_generation
from .labels import AdmittedLabels
from .quarantine import Quarantine
from .snapshot_format import Window
from .snapshot_reader import ARCHIVE, ForeignVersion
from .snapshots import (
    ENTRIES_OF_A_USER,
    NAME,
    REFUSED,
    TEMPORARY,
    Signature,
    abandoned,
    lasting,
    read_snapshot,
    signature,
)
from .totals import Malformed, Totals

BATCH = 2000
# A row of a snapshot is at most that many times as long in the archive: `other` is longer than a short name.
GROWTH = 2
LOCK = "fold.lock"
ORPHAN_SECONDS = 60.0
KEEP_AGENT_SESSIONS_SECONDS = 3600.0


class Loaded(NamedTuple):
    """The newest usable generation, and the names of corrupt files that were skipped."""

    generation: Generation
    corrupt: tuple[str, ...]


class Archive:
    """Reads the newest usable generation (cached while its file is the same) and folds finished processes."""

    def __init__(self, directory: StateDirectory, labels: AdmittedLabels | None = None) -> None:
        self._directory = directory
        self.labels = labels or AdmittedLabels(directory)
        self.admission = Admission(self.labels.admit_from)
        self.quarantine = Quarantine(directory)
        # Time of the last successful fold, with or without work; seconds since the epoch.
        self.folded_at = 0.0
        # What each user brought into it, as far as this process folded that; what it did not is gone within two days.
        self.brought = Allowances()
        self._cached: tuple[Signature, Loaded] | None = None
        self._refused: dict[str, Signature] = {}

    @property
    def path(self) -> Path:
        """The path of the newest generation."""
        return self._directory.shared / FILE

    def signature(self) -> Signature | None:
        """A value that changes with every new generation; None without an archive."""
        try:
            return signature(os.lstat(self.path))
        except FileNotFoundError:
            return None

    def set_aside(self) -> int:
        """How many files were set aside, as far as this user can see them."""
        return self.quarantine.count()

    def load(self) -> Generation:
        """The newest readable generation; skips a corrupt one. Raises OSError, StoreUnavailable."""
        return self._load().generation

    def _load(self) -> Loaded:
        current = self.signature()
        cached = self._cached
        if cached is not None and cached[0] == current:
            return cached[1]
        with contextlib.ExitStack() as stack:
            folders = [stack.enter_context(self._directory.open_shared())]
            if self._directory.served:
                folders.append(stack.enter_context(Folder(self._directory.path)))
            loaded = self._newest(folders)
        if current is not None:
            self._cached = (current, loaded)
        return loaded

    def _newest(self, folders: list[Folder]) -> Loaded:
        corrupt: list[str] = []
        for folder in folders:  # the second one is where the archive was before the service had its own folder
            for name in (FILE, PREVIOUS):
                try:
                    return Loaded(read_generation(folder, name), tuple(corrupt))
                except FileNotFoundError:
                    continue
                except ForeignVersion as error:  # not damage: fail rather than reset counters
                    raise StoreUnavailable(
                        f"the archive {folder.path / name} was written by another version of hypertool ({error}); "
                        f"run that version, or move the file away to start at 0"
                    ) from None
                except Malformed:
                    corrupt.append(name)
            if corrupt or self.quarantine.has_archives():
                break  # an archive in the older place is older than what was lost
        return Loaded(EMPTY, tuple(corrupt))

    def fold(self, now: float, overspent: Iterable[Window] = ()) -> int:
        """Move finished processes into the archive; returns how many. Raises OSError (a full disk: nothing is lost).

        `overspent` are the hour and day windows that the host as a whole has overspent; each is counted once.
        Only one process folds at a time. Does nothing while another process folds, or if the host's archive belongs to
        another user.
        """
        if not self._directory.may_fold():
            return 0
        with (
            self._directory.open_private() as private,
            locked(private, LOCK, 0.0, self._directory.file_mode) as held,
        ):
            if held is None:
                return 0
            with self._directory.open_shared() as shared, self._directory.open_live() as live:
                folded = self._fold_held(shared, live, now, overspent)
            self.folded_at = time.time()
            return folded

    def _fold_held(self, shared: Folder, live: Folder, now: float, overspent: Iterable[Window]) -> int:
        self.labels.write_new()
        if self._directory.served:
            tidying.tidy_requests(self._directory)
            tidying.tidy_live(live)
        generation, corrupt = self._load()
        for name in corrupt:
            self.quarantine.take_archive(shared, name, generation.number)
        if generation.number and self.signature() is None:  # only the previous generation is left: write it again
            generation = generation._replace(settled=False)
        return self._fold(shared, live, generation, now, overspent)

    def _fold(
        self, shared: Folder, live: Folder, generation: Generation, now: float, overspent: Iterable[Window]
    ) -> int:
        # Finish an earlier fold that was interrupted.
        generation, kept = self._settle(shared, live, generation)
        totals = Totals()
        totals.add(generation.totals)
        clamped = totals.clamp(now)
        self._forget(totals, now)
        sets = dict(generation.sets)
        brought = self.brought.kept(totals)
        folded = self._take_finished(live, totals, kept, sets, brought, now)
        self.labels.write_new()
        oldest = now - KEEP_WINDOWS_SECONDS
        newly = frozenset(w for w in overspent if w not in generation.exceeded and w[1] >= oldest)
        if not folded and not newly and not clamped:
            return 0
        for persona, _start, _reset in newly:
            _increase(totals, 1, "exc", persona)
        if folded:
            _increase(totals, len(folded), "fol")
        known = frozenset(w for w in generation.exceeded | newly if w[1] >= oldest)
        new = Generation(generation.number + 1, totals, kept | folded, known, not folded, sets)
        written = self._write(shared, new)
        self.brought = brought
        self._settle(shared, live, written)
        return len(folded)

    def _forget(self, totals: Totals, now: float) -> None:
        totals.windows = {w: used for w, used in totals.windows.items() if w[1] >= now - KEEP_WINDOWS_SECONDS}
        totals.forget_agent_sessions(now - KEEP_AGENT_SESSIONS_SECONDS)

    def _take_finished(
        self, live: Folder, totals: Totals, skip: Set[str], sets: dict[str, int], brought: Allowances, now: float
    ) -> frozenset[str]:
        """Add finished processes to the totals, as many as one generation may hold; returns their names."""
        taken: set[str] = set()
        room = self._room(totals)
        refused: dict[str, Signature] = {}
        finished = list(self._finished(live))
        self.labels.members.see(status.st_uid for _, status in finished)
        for name, status in finished:
            if name[:-5] in skip:
                continue
            current = signature(status)
            try:
                if self._refused.get(name) == current:
                    refused[name] = current
                    continue
                snapshot = read_snapshot(live, name, self.admission)
                snapshot.totals.finish(snapshot.taken)
                self._forget(snapshot.totals, now)
                user = str(snapshot.user)
                limited, new = within_sets(snapshot.totals, totals, MAX_SETS - sets.get(user, 0))
                if self._directory.served:
                    limited = brought.limit(limited, totals, snapshot.user)
                room -= GROWTH * snapshot.size * limited.size // max(snapshot.totals.size, 1)
                if room < 0 or totals.size + limited.size > ARCHIVE.rows:
                    if not taken:
                        once.warn(
                            "archive full", f"the archive {self.path} is full: {live.path} is not folded any more"
                        )
                    break
                totals.add(limited)
                sets[user] = sets.get(user, 0) + new
            except REFUSED as error:  # not written by this version: leave it out, and count it
                if lasting(error) and not self.quarantine.take(live, name, error):
                    refused[name] = current
                continue
            taken.add(name[:-5])
            if len(taken) == BATCH:
                break
        self._refused = refused
        return frozenset(taken)

    def _room(self, totals: Totals) -> int:
        """How many bytes the archive may grow by; drops its exemplars if it needs their room."""
        current = self.signature()
        size = current[-1] if current is not None else 0
        if size > MAX_BYTES // 2:
            totals.exemplars = {}
        return MAX_BYTES - MAX_BYTES // 16 - size  # the list of folded names needs some

    def _settle(self, shared: Folder, live: Folder, generation: Generation) -> tuple[Generation, frozenset[str]]:
        """Remove the files that the generation contains; also returns those that still exist afterwards.

        First writes the same sums once more, so that the previous generation contains them too.
        """
        if not generation.settled:
            generation = self._write(shared, generation._replace(number=generation.number + 1, settled=True))
        kept = set()
        for writer in generation.folded:
            try:
                live.unlink(f"{writer}.json")
            except FileNotFoundError:
                continue
            except OSError:  # no permission to remove it: it is skipped as long as that file exists
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISREG(live.status(f"{writer}.json").st_mode):
                        kept.add(writer)
        return generation, frozenset(kept)

    def _write(self, shared: Folder, generation: Generation) -> Generation:
        return write_generation(shared, generation, self._directory.file_mode)

    def _finished(self, live: Folder) -> Iterator[tuple[str, os.stat_result]]:
        """Snapshots whose writers are gone; removes abandoned temporary files on the way."""
        owned: Counter[int] = Counter()
        with os.scandir(live.descriptor) as entries:
            for entry in entries:
                if NAME.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        status = live.status(entry.name)
                        owned[status.st_uid] += 1
                        if self._directory.served and owned[status.st_uid] > ENTRIES_OF_A_USER:
                            continue
                        if abandoned(live, entry.name) or not _openable(live, entry.name):
                            yield entry.name, live.status(entry.name)
                elif TEMPORARY.fullmatch(entry.name):
                    _remove_orphan(live, entry.name)


def _openable(live: Folder, name: str) -> bool:
    """Whether it is a regular file: anything else has no writer either."""
    try:
        os.close(live.open(name))
    except OSError as error:
        return not lasting(error)
    return True


def _remove_orphan(live: Folder, name: str) -> None:
    with contextlib.suppress(OSError):
        if time.time() - live.status(name).st_mtime > ORPHAN_SECONDS and abandoned(live, name):
            live.unlink(name)


def _increase(totals: Totals, amount: int, *key: str) -> None:
    totals.counters[key] = totals.counters.get(key, 0) + amount
