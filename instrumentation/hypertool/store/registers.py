"""Small host-wide registers: budget resets and thresholds, admitted undeclared labels, the key of fingerprints."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from .directory import StateDirectory, create, locked, read_file, stamp, write_all

KEY_BYTES = 32
LOCK_SECONDS = 0.25
# Who has a budget that blocks would rather wait than overspend; an LLM call takes seconds itself.
RESERVE_SECONDS = 2.0


class Resets:
    """Which reset of each persona's budget is the newest; running processes look at it about once a second."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._path = directory.path / "resets.json"
        self._signature: tuple[int, int] | None = None
        self._numbers: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        """Number of the newest reset by persona (0 where there was none). A damaged register counts as empty."""
        try:
            found = self._path.lstat()
            signature = (found.st_ino, found.st_mtime_ns)
            if signature != self._signature:
                self._numbers = _numbers(self._path)
                self._signature = signature
        except OSError:
            self._numbers, self._signature = {}, None
        return self._numbers

    def add(self, persona: str) -> int:
        """Reset a persona's budget on the whole host; returns the number of this reset. Raises OSError."""
        self._directory.ensure()
        with locked(self._directory.path / "resets.lock"):
            numbers = dict(_numbers(self._path))
            # Time keeps numbers growing even when the register was damaged or removed.
            number = max(int(time.time()), numbers.get(persona, 0) + 1)
            numbers[persona] = number
            _replace(self._path, json.dumps(numbers).encode())
        return number


def _numbers(path: Path) -> dict[str, int]:
    try:
        data = json.loads(read_file(path))
        return {str(persona): max(0, int(number)) for persona, number in data.items()}
    except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return {}


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = create(temporary)
    try:
        write_all(descriptor, data)
        stamp(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


class Thresholds:
    """Which share of each persona's hour or day budget was told of last, so that the host says it once a window."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._path = directory.path / "thresholds.json"

    def claim(self, persona: str, start: int, reset: int, shares: tuple[int, ...]) -> tuple[int, ...]:
        """Those of `shares` that nobody has told of in this window; the caller does. Raises OSError."""
        self._directory.ensure()
        with locked(self._directory.path / "thresholds.lock", seconds=LOCK_SECONDS):
            known = _lists(self._path)
            last = known.get(persona, [0, 0, 0])
            told = last[2] if last[:2] == [start, reset] else 0
            mine = tuple(share for share in shares if share > told)
            if mine:
                _replace(self._path, json.dumps({**known, persona: [start, reset, mine[-1]]}).encode())
            return mine


def _lists(path: Path) -> dict[str, list[int]]:
    try:
        return {
            str(persona): [int(number) for number in numbers]
            for persona, numbers in json.loads(read_file(path)).items()
            if len(numbers) == 3
        }
    except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return {}


class AdmittedLabels:
    """The host's list of undeclared label values, first come, first served, append-only."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._path = directory.path / "labels.jsonl"
        self._full: dict[str, set[str]] = {}

    def admit(self, label: str, value: str, limit: int) -> bool:
        """Whether that value may be a label value: it is listed, or there was room and now it is. Raises OSError."""
        full = self._full.get(label)
        if full is not None:  # nothing is ever added again
            return value in full
        self._directory.ensure()
        with locked(self._path) as descriptor:
            if descriptor is None:  # cannot be: the lock was waited for
                return False
            listed: dict[str, set[str]] = {}
            whole = True
            for line in read_file(self._path).splitlines(keepends=True):
                whole = line.endswith(b"\n")
                with contextlib.suppress(ValueError, TypeError):
                    listed_label, listed_value = json.loads(line)
                    listed.setdefault(listed_label, set()).add(listed_value)
            mine = listed.get(label, set())
            if len(mine) >= limit:
                self._full[label] = mine
            if value in mine or len(mine) >= limit:
                return value in mine
            os.lseek(descriptor, 0, os.SEEK_END)
            write_all(descriptor, (b"" if whole else b"\n") + json.dumps([label, value]).encode() + b"\n")
            return True


def fingerprint_key(directory: StateDirectory) -> bytes:
    """The host's key for fingerprints of prompts, 32 random bytes made once. Raises OSError or StoreUnavailable."""
    path = directory.path / "fingerprint.key"
    with contextlib.suppress(FileNotFoundError):
        key = read_file(path)
        if len(key) == KEY_BYTES:
            return key
    directory.ensure()
    with locked(path) as descriptor:  # another process may be in the middle of making it
        key = read_file(path)
        if len(key) != KEY_BYTES and descriptor is not None:
            key = os.urandom(KEY_BYTES)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, key)
    return key
