"""The archive: the sums of every finished process, and the exactly-once way into it.

A generation lists the snapshots that it contains (`folded`), and a listed snapshot is skipped by every reader. Their
files go only when two generations on disk contain and list them: the newest, and the one before it, which is used
when the newest turns out to be corrupt. A name leaves the list when its file is gone. So a crash at any instruction
leaves either a file that is not yet in the sums, or one that the archive says to skip.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import NamedTuple

from ..domain.budget_windows import KEEP_WINDOWS_SECONDS
from ..errors import StoreUnavailable
from .directory import StateDirectory, create, locked, read_file, same_file, stamp, write_all
from .snapshot_format import TAKEN, Window, encode
from .totals import ForeignVersion, Malformed, Totals, parse

BATCH = 2000
SNAPSHOT = re.compile(r"[0-9a-f]{32}\.json")
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
ORPHAN_SECONDS = 60.0
KEEP_AGENT_SESSIONS_SECONDS = 3600.0


class Generation(NamedTuple):
    """One state of the archive; `settled` where the generation before it contains the folded snapshots as well."""

    number: int
    totals: Totals
    folded: frozenset[str]
    exceeded: frozenset[Window]
    settled: bool


class Loaded(NamedTuple):
    """The newest usable generation, and the files that were passed over because they are corrupt."""

    generation: Generation
    corrupt: tuple[Path, ...]


EMPTY = Generation(0, Totals(), frozenset(), frozenset(), True)


def read_generation(path: Path) -> Generation:
    """Parse an archive file. Raises FileNotFoundError, OSError, Malformed or ForeignVersion."""
    checksum, _, payload = read_file(path).partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(payload):
        raise Malformed("the checksum does not match")
    totals, data = parse(payload)
    try:
        exceeded = frozenset((str(p), int(start), int(reset)) for p, start, reset in data["exceeded"])
        return Generation(
            int(data["generation"]), totals, frozenset(map(str, data["folded"])), exceeded, data["settled"] is True
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


class Archive:
    """Reads the newest usable generation (cached while its file is the same) and folds finished processes."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self.path = directory.path / "archive.json"
        self.previous = directory.path / "archive.prev.json"
        self._cached: tuple[tuple[int, int, int], Loaded] | None = None

    def signature(self) -> tuple[int, int, int] | None:
        """What changes whenever a generation is written; None where there is no archive."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def load(self) -> Generation:
        """The newest generation that can be read; a corrupt one is passed over. Raises OSError, StoreUnavailable."""
        return self._load().generation

    def _load(self) -> Loaded:
        signature = self.signature()
        cached = self._cached
        if cached is not None and cached[0] == signature:
            return cached[1]
        corrupt: list[Path] = []
        generation = EMPTY
        for path in (self.path, self.previous):
            try:
                generation = read_generation(path)
                break
            except FileNotFoundError:
                continue
            except ForeignVersion as error:  # not damage: a counter that starts again would be worse than none
                raise StoreUnavailable(
                    f"the archive {path} was written by another version of hypertool ({error}); "
                    f"run that version, or move the file away to start at 0"
                ) from None
            except Malformed:
                corrupt.append(path)
        loaded = Loaded(generation, tuple(corrupt))
        if signature is not None:
            self._cached = (signature, loaded)
        return loaded

    def fold(self, now: float, overspent: Iterable[Window] = ()) -> int:
        """Move finished processes into the archive; returns how many. Raises OSError (a full disk: nothing is lost).

        `overspent` are the hour and day windows that the host as a whole has overspent; each is counted once.
        Only one process folds at a time; where another one is at it, nothing is done.
        """
        with locked(self._directory.path / "fold.lock", wait=False) as held:
            if held is None:
                return 0
            generation, corrupt = self._load()
            for path in corrupt:
                os.rename(path, path.with_name(f"{path.stem}.corrupt-{time.time_ns()}.json"))
            if generation.number and self.signature() is None:  # only the one before it is left: write it anew
                generation = generation._replace(settled=False)
            return self._fold(generation, now, overspent)

    def _fold(self, generation: Generation, now: float, overspent: Iterable[Window]) -> int:
        generation, kept = self._settle(generation)  # where a fold before this one was cut short: finish it
        totals = Totals()
        totals.add(generation.totals)
        folded = self._take_finished(totals, kept)
        oldest = now - KEEP_WINDOWS_SECONDS
        newly = frozenset(w for w in overspent if w not in generation.exceeded and w[1] >= oldest)
        if not folded and not newly:
            return 0
        for persona, _start, _reset in newly:
            _increase(totals, 1, "exc", persona)
        _increase(totals, len(folded), "fol")
        totals.windows = {w: used for w, used in totals.windows.items() if w[1] >= oldest}
        totals.forget_agent_sessions(now - KEEP_AGENT_SESSIONS_SECONDS)
        known = frozenset(w for w in generation.exceeded | newly if w[1] >= oldest)
        self._settle(self._write(Generation(generation.number + 1, totals, kept | folded, known, settled=not folded)))
        return len(folded)

    def _take_finished(self, totals: Totals, skip: Set[str]) -> frozenset[str]:
        """Add finished processes to the totals, as many as one generation may list; returns their names."""
        taken: set[str] = set()
        for path in self._finished():
            if path.stem in skip:
                continue
            try:
                snapshot, data = parse(read_file(path))
                snapshot.finish(float(data[TAKEN]))
                totals.add(snapshot)
            except (OSError, Malformed, KeyError, TypeError, ValueError):
                continue  # it stays where it is and is counted as unreadable
            taken.add(path.stem)
            if len(taken) == BATCH:
                break
        return frozenset(taken)

    def _settle(self, generation: Generation) -> tuple[Generation, frozenset[str]]:
        """Remove the files that the generation contains; also returns those that are still there after it.

        First the same sums are written once more, so that the generation before the newest contains them too.
        """
        if not generation.settled:
            generation = self._write(generation._replace(number=generation.number + 1, settled=True))
        kept = set()
        for writer in generation.folded:
            try:
                (self._directory.live / f"{writer}.json").unlink()
            except FileNotFoundError:
                continue
            except OSError:  # not ours to remove: it is skipped for as long as it is there
                kept.add(writer)
        return generation, frozenset(kept)

    def _write(self, generation: Generation) -> Generation:
        payload = encode(
            {
                "generation": generation.number,
                "settled": generation.settled,
                "folded": sorted(generation.folded),
                "exceeded": [list(window) for window in sorted(generation.exceeded)],
                **generation.totals.as_data(),
            }
        )
        temporary = self.path.with_suffix(".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = create(temporary)
        try:
            write_all(descriptor, b"%08x\n" % zlib.crc32(payload) + payload)
            stamp(descriptor)
            os.fsync(descriptor)
            self._keep_previous()
            os.rename(temporary, self.path)
        except OSError:  # on a full disk the rest of it would keep the space that it needs itself
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        finally:
            os.close(descriptor)
        directory = os.open(self._directory.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return generation

    def _keep_previous(self) -> None:
        temporary = self.previous.with_suffix(".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        try:
            os.link(self.path, temporary)
        except FileNotFoundError:
            return
        except OSError:  # a file system without hard links
            import shutil

            shutil.copy2(self.path, temporary)
        os.rename(temporary, self.previous)

    def _finished(self) -> Iterator[Path]:
        """Snapshots whose writers are gone; forgotten temporary files are removed on the way."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory.live) as entries:
            for entry in entries:
                path = Path(entry.path)
                if SNAPSHOT.fullmatch(entry.name):
                    if abandoned(path):
                        yield path
                elif TEMPORARY.fullmatch(entry.name):
                    self._remove_orphan(path)

    def _remove_orphan(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if time.time() - path.lstat().st_mtime > ORPHAN_SECONDS and abandoned(path):
                path.unlink()


def _increase(totals: Totals, amount: int, *key: str) -> None:
    totals.counters[key] = totals.counters.get(key, 0) + amount


def abandoned(path: Path) -> bool:
    """Whether nobody holds the lock of that file any more (and the file is still the one at that path)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return same_file(descriptor, path)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
