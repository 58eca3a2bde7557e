"""The archive: the sums of every finished process, and the exactly-once way into it.

A generation lists the snapshots that it contains (`folded`). Their files go only when the next generation, which
lists none, is on disk. So a crash at any instruction leaves either a file that is not yet in the sums, or one that
the archive says to skip; and when the newest generation turns out to be corrupt, the one before it together with the
files that are still there gives the same sums.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from .directory import StateDirectory, create, locked, write_all
from .totals import Malformed, Totals, encode, parse

BATCH = 2000
ORPHAN_SECONDS = 60.0
KEEP_WINDOWS_SECONDS = 2 * 86400.0


class Generation(NamedTuple):
    """One state of the archive."""

    number: int
    totals: Totals
    folded: frozenset[str]
    exceeded: frozenset[tuple[str, int, int]]


EMPTY = Generation(0, Totals(), frozenset(), frozenset())


def read_generation(path: Path) -> Generation:
    """Parse an archive file. Raises FileNotFoundError, OSError or Malformed."""
    checksum, _, payload = path.read_bytes().partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(payload):
        raise Malformed("the checksum does not match")
    totals, data = parse(payload)
    try:
        exceeded = frozenset((str(p), int(start), int(reset)) for p, start, reset in data["exceeded"])
        return Generation(int(data["generation"]), totals, frozenset(map(str, data["folded"])), exceeded)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


class Archive:
    """Reads the newest usable generation (cached while its file is the same) and folds finished processes."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self.path = directory.path / "archive.json"
        self.previous = directory.path / "archive.prev.json"
        self._cached: tuple[tuple[int, int, int], Generation] | None = None
        self._corrupt = False

    def signature(self) -> tuple[int, int, int] | None:
        """What changes whenever a generation is written; None where there is no archive."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def load(self) -> Generation:
        """The newest generation that can be read; a corrupt one is passed over. Raises OSError."""
        signature = self.signature()
        if self._cached is not None and self._cached[0] == signature:
            return self._cached[1]
        self._corrupt = False
        generation = EMPTY
        for path in (self.path, self.previous):
            try:
                generation = read_generation(path)
                break
            except FileNotFoundError:
                continue
            except Malformed:
                self._corrupt = self._corrupt or path == self.path
        if signature is not None:
            self._cached = (signature, generation)
        return generation

    def fold(self, now: float, limits: dict[str, int] | None = None) -> int:
        """Move finished processes into the archive; returns how many. Raises OSError (a full disk: nothing is lost).

        `limits` (tokens by persona with an hour or day window) lets it count the windows that were overspent, each
        once. Only one process folds at a time; where another one is at it, nothing is done.
        """
        with locked(self._directory.path / "fold.lock", wait=False) as held:
            if held is None:
                return 0
            generation = self.load()
            if self._corrupt:
                os.rename(self.path, self._directory.path / f"archive.corrupt-{time.time_ns()}.json")
                self._cached = None
                self._corrupt = False
            return self._fold(generation, now, limits or {})

    def _fold(self, generation: Generation, now: float, limits: dict[str, int]) -> int:
        if generation.folded:  # a fold before this one was cut short: finish it
            generation = self._settle(generation)
        totals = Totals()
        totals.add(generation.totals)
        folded = []
        for path in self._finished()[:BATCH]:
            try:
                snapshot, data = parse(path.read_bytes())
                snapshot.finish(float(data["t"]))
                totals.add(snapshot)
            except (OSError, Malformed, KeyError, TypeError, ValueError):
                continue  # it stays where it is and is counted as unreadable
            folded.append(path.stem)
        exceeded = self._overspent(totals, generation.exceeded, limits, frozenset(folded)) if limits else frozenset()
        if not folded and not exceeded:
            return 0
        for persona, _start, _reset in exceeded:
            _increase(totals, 1, "exc", persona)
        _increase(totals, len(folded), "fol")
        oldest = now - KEEP_WINDOWS_SECONDS
        totals.windows = {w: used for w, used in totals.windows.items() if w[1] >= oldest}
        known = frozenset(w for w in generation.exceeded | exceeded if w[1] >= oldest)
        self._settle(self._write(Generation(generation.number + 1, totals, frozenset(folded), known)))
        return len(folded)

    def _settle(self, generation: Generation) -> Generation:
        """The same sums in a generation that skips nothing; then the folded files can go."""
        settled = self._write(generation._replace(number=generation.number + 1, folded=frozenset()))
        for writer in generation.folded:
            with contextlib.suppress(FileNotFoundError):
                (self._directory.live / f"{writer}.json").unlink()
        return settled

    def _write(self, generation: Generation) -> Generation:
        payload = encode({
            "generation": generation.number,
            "folded": sorted(generation.folded),
            "exceeded": [list(window) for window in sorted(generation.exceeded)],
            **generation.totals.as_data(),
        })
        temporary = self.path.with_suffix(".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = create(temporary)
        try:
            write_all(descriptor, b"%08x\n" % zlib.crc32(payload) + payload)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._keep_previous()
        os.rename(temporary, self.path)
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

    def _finished(self) -> list[Path]:
        """Snapshots whose writers are gone; forgotten temporary files are removed on the way."""
        finished = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory.live) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.name.endswith(".json") and abandoned(path):
                    finished.append(path)
                elif entry.name.endswith(".tmp"):
                    self._remove_orphan(path)
        return finished

    def _remove_orphan(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if time.time() - path.stat().st_mtime > ORPHAN_SECONDS and abandoned(path):
                path.unlink()

    def _overspent(self, totals: Totals, known: frozenset[tuple[str, int, int]], limits: dict[str, int],
                   folded: frozenset[str]) -> frozenset[tuple[str, int, int]]:
        """The windows that the host as a whole has overspent and that are not counted yet."""
        windows = dict(totals.windows)
        for path in self._directory.live.glob("*.json"):
            if path.stem in folded:
                continue
            with contextlib.suppress(OSError, Malformed):
                for window, used in parse(path.read_bytes())[0].windows.items():
                    windows[window] = windows.get(window, 0) + used
        return frozenset(w for w, used in windows.items()
                         if w[0] in limits and used > limits[w[0]] and w not in known)


def _increase(totals: Totals, amount: int, *key: str) -> None:
    totals.counters[key] = totals.counters.get(key, 0) + amount


def abandoned(path: Path) -> bool:
    """Whether nobody holds the lock of that file any more (and the file is still the one at that path)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opened = os.fstat(descriptor)
        current = path.stat()
        return (opened.st_ino, opened.st_dev) == (current.st_ino, current.st_dev)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
