"""What processes share with each other: budget resets, and which thresholds of a budget were announced.

Without a service, two files of the store hold this. On a host with a service, each member has a file of its own in the
sticky folder `requests`, and all members read all of them: a reset works without the service, and no member can change
another member's request.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator

from ..domain.budget_windows import KEEP_WINDOWS_SECONDS
from ..runtime.foreign_files import Folder, locked
from ..runtime.light_typing import Any
from .directory import StateDirectory

LOCK_SECONDS = 0.25
REQUEST_BYTES = 65_536
FILES_OF_A_USER = 4
RESETS, TOLD = "resets", "told"
_FILE = r"(\d{1,10})-[0-9a-f]{16}\.json"
# A change shows in the folder's time, which has the resolution of a kernel tick: two changes in one tick look like one.
_SETTLED_NS = 50_000_000


class Resets:
    """The newest reset of each persona's budget; running processes check it about once a second."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._signature: tuple[int, ...] | None = None
        self._numbers: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        """Number of the newest reset by persona (0 without one). A damaged register counts as empty."""
        try:
            signature = self._now()
            if signature is None or signature != self._signature:
                self._numbers = self._read()
                self._signature = signature
        except OSError:
            self._numbers, self._signature = {}, None
        return self._numbers

    def add(self, persona: str) -> int:
        """Reset a persona's budget on the whole host; returns the number of this reset. Raises OSError."""
        self._directory.ensure()
        with _changing(self._directory, "resets") as folder:
            # The clock keeps numbers growing even if the register was damaged or removed.
            number = max(int(time.time()), self._read().get(persona, 0) + 1)
            if self._directory.served:
                mine = _Own(folder)
                mine.data[RESETS] = {**_numbers(mine.data.get(RESETS)), persona: number}
                mine.write()
            else:
                numbers = {**_numbers(_read(folder, "resets.json")), persona: number}
                folder.replace("resets.json", json.dumps(numbers).encode(), self._directory.file_mode)
        return number

    def _now(self) -> tuple[int, ...] | None:
        """A value that changes with every new reset; None while that cannot be determined."""
        if not self._directory.served:
            found = os.lstat(self._directory.path / "resets.json")
            return found.st_ino, found.st_mtime_ns
        with self._directory.open_requests() as folder:
            changed = os.fstat(folder.descriptor)
        if abs(time.time_ns() - changed.st_mtime_ns) < _SETTLED_NS:
            return None
        return changed.st_ino, changed.st_mtime_ns

    def _read(self) -> dict[str, int]:
        with contextlib.suppress(FileNotFoundError), Folder(self._directory.path) as folder:
            numbers = _numbers(_read(folder, "resets.json"))
            if self._directory.served:
                for request in _all(self._directory):
                    for persona, number in _numbers(request.get(RESETS)).items():
                        numbers[persona] = max(number, numbers.get(persona, 0))
            return numbers
        return {}


class Thresholds:
    """The last announced share of each persona's hour or day budget, so that the host announces it once per window."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory

    def claim(self, persona: str, start: int, reset: int, shares: tuple[int, ...]) -> tuple[int, ...]:
        """The `shares` not yet announced in this window, for the caller to announce. Raises OSError."""
        self._directory.ensure()
        with _changing(self._directory, "thresholds") as folder:
            served = self._directory.served
            known = [_lists(request.get(TOLD)) for request in _all(self._directory)] if served else []
            if not served:
                known = [_lists(_read(folder, "thresholds.json"))]
            told = max((rows[persona][2] for rows in known if rows.get(persona, [])[:2] == [start, reset]), default=0)
            new = tuple(share for share in shares if share > told)
            if new and served:
                mine = _Own(folder)
                mine.data[TOLD] = {**_lists(mine.data.get(TOLD)), persona: [start, reset, new[-1]]}
                mine.write()
            elif new:
                rows = {**known[0], persona: [start, reset, new[-1]]}
                folder.replace("thresholds.json", json.dumps(rows).encode(), self._directory.file_mode)
            return new


@contextlib.contextmanager
def _changing(directory: StateDirectory, what: str) -> Iterator[Folder]:
    """Hold the lock of this user's (without a service: of the store's) file, within a deadline."""
    served = directory.served
    name = f"{os.geteuid()}.lock" if served else f"{what}.lock"
    with directory.open_requests() as folder, contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder, name, LOCK_SECONDS, 0o600 if served else directory.file_mode))
        except OSError:
            if not served:
                raise
            # Another member created this lock file; the change is atomic even without the lock.
        yield folder


class _Own:
    """The file of this user's requests: the first one with that name that this user really owns."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        user = os.geteuid()
        self.name = f"{user}-{os.urandom(8).hex()}.json"
        self.data: dict[str, Any] = {}
        for name in own_files(folder).get(user, ()):
            found = _read(folder, name, user)
            if found.__class__ is dict:
                self.name, self.data = name, found
                return

    def write(self) -> None:
        self._folder.replace(self.name, json.dumps(self.data).encode(), 0o640)


def own_files(folder: Folder) -> dict[int, list[str]]:
    """The first request files of each user, in order; leaves out those whose owner is not the user in their name."""
    found: dict[int, list[str]] = {}
    with os.scandir(folder.descriptor) as entries:
        for entry in entries:
            user = user_of(entry.name)
            if user is None:
                continue
            mine = found.get(user, [])
            full = len(mine) == FILES_OF_A_USER
            if (full and entry.name > mine[-1]) or _owner(folder, entry.name) != user:
                continue
            if full:
                mine.pop()
            mine.append(entry.name)
            mine.sort()
            found[user] = mine
    return found


def user_of(name: str) -> int | None:
    """The user in the name of a request file; None for another name."""
    named = re.fullmatch(_FILE, name)
    return int(named[1]) if named is not None else None


def _all(directory: StateDirectory) -> list[dict[str, Any]]:
    """The requests of every member."""
    requests = []
    with directory.open_requests() as folder:
        for user, names in own_files(folder).items():
            for name in names:
                found = _read(folder, name, user)
                if found.__class__ is dict:
                    requests.append(found)
    return requests


def _owner(folder: Folder, name: str) -> int | None:
    try:
        return folder.status(name).st_uid
    except OSError:
        return None


def _read(folder: Folder, name: str, owner: int | None = None) -> Any:
    try:
        return json.loads(folder.read(name, REQUEST_BYTES, owner))
    except (OSError, ValueError, RecursionError, MemoryError):
        return None


def _numbers(data: Any) -> dict[str, int]:
    """Resets by persona. Their numbers come from the clock: a number beyond any clock error is not a reset."""
    newest = int(time.time()) + KEEP_WINDOWS_SECONDS
    if data.__class__ is not dict:
        return {}
    return {
        persona: number
        for persona, number in data.items()
        if number.__class__ is int and 0 <= number <= newest and len(persona) <= 100
    }


def _lists(data: Any) -> dict[str, list[int]]:
    if data.__class__ is not dict:
        return {}
    return {
        persona: numbers
        for persona, numbers in data.items()
        if numbers.__class__ is list and len(numbers) == 3 and all(number.__class__ is int for number in numbers)
    }
