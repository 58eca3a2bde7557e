"""Two small host-wide registers: budget resets, and the undeclared label values that were admitted."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from .directory import StateDirectory, create, locked, write_all


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
            found = self._path.stat()
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
        data = json.loads(path.read_bytes())
        return {str(persona): int(number) for persona, number in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = create(temporary)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


class AdmittedLabels:
    """The host's list of undeclared label values, first come, first served, append-only."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._path = directory.path / "labels.jsonl"

    def admit(self, label: str, value: str, limit: int) -> bool:
        """Whether that value may be a label value: it is listed, or there was room and now it is. Raises OSError."""
        self._directory.ensure()
        with locked(self._path) as descriptor:
            if descriptor is None:  # cannot be: the lock was waited for
                return False
            listed: dict[str, set[str]] = {}
            whole = True
            for line in self._path.read_bytes().splitlines(keepends=True):
                whole = line.endswith(b"\n")
                with contextlib.suppress(ValueError, TypeError):
                    listed_label, listed_value = json.loads(line)
                    listed.setdefault(listed_label, set()).add(listed_value)
            mine = listed.get(label, set())
            if value in mine:
                return True
            if len(mine) >= limit:
                return False
            os.lseek(descriptor, 0, os.SEEK_END)
            write_all(descriptor, (b"" if whole else b"\n") + json.dumps([label, value]).encode() + b"\n")
            return True
