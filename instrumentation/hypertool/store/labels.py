"""The host's register of undeclared label values: which are admitted, who introduced each of them, and when.

Without a service every process of the store appends to it, under its lock. On a host with a service only the service
writes it, from the members' snapshots; a member's process reads it, and applies its own limit to values that the
service has not decided yet.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator

from ..errors import StoreUnavailable
from ..runtime.foreign_files import Folder, locked, write_all
from ..runtime.light_typing import NamedTuple
from .admission import Members, limit_of, share
from .directory import StateDirectory
from .snapshot_reader import MAX_TIME

FILE = "labels.jsonl"
# In the service's own folder: a member may open the register for reading, and therefore lock it for ever.
LOCK = "labels.lock"
REGISTER_BYTES = 2**20

_Signature = tuple[int, int, int]


class Admitted(NamedTuple):
    """One admitted value; `user` is None and `at` (seconds since the epoch) 0 if an older version admitted it."""

    label: str
    value: str
    user: int | None
    at: float


class AdmittedLabels:
    """First come, first served, within a limit for each label and a share for each user."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self.members = Members(_group(directory))
        self._listed: dict[str, dict[str, Admitted]] = {}
        self._signature: _Signature | None = None
        self._whole = True
        self._imported = False
        self._full: set[str] = set()
        # Decided while merging files, and not written yet.
        self._new: list[Admitted] = []
        self._mine: dict[str, set[str]] = {}

    def admit(self, label: str, value: str, limit: int) -> bool:
        """Whether this process may record that value. Raises OSError if the register is unavailable."""
        if label in self._full:  # full: nothing can be added any more
            return value in self._listed[label]
        if self._directory.served:
            return self._admit_as_member(label, value, limit)
        self._directory.ensure()
        user = os.geteuid()
        with self._directory.open_shared() as folder, self._changing(folder) as descriptor:
            whole = self._load(folder)
            listed = self._listed.get(label, {})
            if len(listed) >= limit:
                self._full.add(label)
                self._listed.setdefault(label, {})
            if value in listed:
                return True
            if not self._room(label, user, limit):
                return False
            entry = Admitted(label, value, user, time.time())
            os.lseek(descriptor, 0, os.SEEK_END)
            write_all(descriptor, (b"" if whole else b"\n") + _line(entry))
            self._listed.setdefault(label, {})[value] = entry
            return True

    def _admit_as_member(self, label: str, value: str, limit: int) -> bool:
        self._refresh()
        listed = self._listed.get(label, {})
        mine = self._mine.setdefault(label, set())
        if value in listed or value in mine:
            return True
        if len(listed) + len(mine.difference(listed)) >= limit:
            return False
        mine.add(value)
        return True

    def admit_from(self, label: str, value: str, user: int) -> bool:
        """Whether a value in a snapshot of that user becomes a series; `write_new` persists new decisions."""
        listed = self._listed.get(label)
        if listed is None or value not in listed:
            self._refresh()
            listed = self._listed.setdefault(label, {})
        if value in listed:
            return True
        if not self._room(label, user, limit_of(label)):
            return False
        entry = Admitted(label, value, user, time.time())
        listed[value] = entry
        self._new.append(entry)
        return True

    def _room(self, label: str, user: int, limit: int) -> bool:
        listed = self._listed.get(label, {})
        if len(listed) >= limit:
            return False
        users = [entry.user for entry in listed.values() if entry.user is not None]
        return users.count(user) < share(limit, self.members.count({user, *users}))

    def write_new(self) -> None:
        """Persist what `admit_from` decided. Raises OSError; the next call tries again."""
        if not self._new:
            return
        with self._directory.open_shared() as folder, self._changing(folder) as descriptor:
            waiting, self._new = self._new, []
            self._signature = None  # the file lacks what is being written
            try:
                whole = self._load(folder)
                lines = [_line(e) for e in waiting if e.value not in self._listed.get(e.label, {})]
                if lines:
                    os.lseek(descriptor, 0, os.SEEK_END)
                    write_all(descriptor, (b"" if whole else b"\n") + b"".join(lines))
            finally:
                for entry in waiting:
                    self._listed.setdefault(entry.label, {}).setdefault(entry.value, entry)

    def all(self) -> list[Admitted]:
        """All admitted values, by label in the order of admission. Raises OSError or StoreUnavailable."""
        self._refresh()
        return [entry for listed in self._listed.values() for entry in listed.values()]

    def free(self, label: str, value: str) -> bool:
        """Remove a value from the register to make room for another; False if it is not registered.

        Raises StoreUnavailable if this user may not change the register, OSError.
        """
        if not os.path.lexists(self._directory.path):
            return False
        with self._directory.open_shared() as folder:
            if os.geteuid() not in (0, folder.owner):
                raise StoreUnavailable(
                    f"the names of this host are kept by the service (user {folder.owner}); run the command as root: "
                    f"sudo hypertool labels --free {label} {value}"
                )
            self._load(folder)
            with self._changing(folder):
                self._load(folder)
                if self._listed.get(label, {}).pop(value, None) is None:
                    return False
                left = b"".join(_line(entry) for listed in self._listed.values() for entry in listed.values())
                folder.replace(FILE, left, self._directory.file_mode)
                if os.geteuid() == 0:
                    written = folder.open(FILE)
                    try:
                        _give_to_owner(written, folder)
                    finally:
                        os.close(written)
                self._full.discard(label)
                return True

    @contextlib.contextmanager
    def _changing(self, folder: Folder) -> Iterator[int]:
        """Hold the lock for changes of the register; yields the register's descriptor. Raises TimeoutError, OSError."""
        mode = self._directory.file_mode
        with contextlib.ExitStack() as held:
            place, name = folder, FILE
            if self._directory.served:
                place, name = held.enter_context(self._directory.open_private()), LOCK
            descriptor = held.enter_context(locked(place, name, mode=0o600 if name == LOCK else mode))
            if descriptor is None:
                raise TimeoutError(f"the lock on {place.path / name} is held by another process; try again")
            if name == LOCK:
                if os.geteuid() == 0:
                    _give_to_owner(descriptor, folder)
                descriptor = folder.create(FILE, mode, os.O_RDWR | os.O_CREAT)
                held.callback(os.close, descriptor)
                if os.geteuid() == 0:
                    _give_to_owner(descriptor, folder)
            yield descriptor

    def _refresh(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._directory.open_shared() as folder:
            self._load(folder)

    def _load(self, folder: Folder) -> bool:
        """Read the register if it changed; False if its last line is incomplete."""
        try:
            found = folder.status(FILE)
        except FileNotFoundError:
            if self._directory.served and not self._imported:
                self._imported = True
                self._import()
            return True
        signature = (found.st_ino, found.st_mtime_ns, found.st_size)
        raw = folder.read(FILE, REGISTER_BYTES) if signature != self._signature or found.st_size == 0 else None
        if raw is not None:
            self._take(raw)
            self._signature = signature
            self._whole = not raw or raw.endswith(b"\n")
        return self._whole

    def _take(self, raw: bytes) -> None:
        listed: dict[str, dict[str, Admitted]] = {}
        for line in raw.splitlines():
            entry = _entry(line)
            if entry is not None:
                listed.setdefault(entry.label, {}).setdefault(entry.value, entry)
        for entry in self._new:
            listed.setdefault(entry.label, {}).setdefault(entry.value, entry)
        self._listed = listed

    def _import(self) -> None:
        """Import the names that the host admitted before the service had its own folders."""
        with contextlib.suppress(OSError), Folder(self._directory.path) as old:
            self._take(old.read(FILE, REGISTER_BYTES))
            self._new += [entry for listed in self._listed.values() for entry in listed.values()]


def _group(directory: StateDirectory) -> int | None:
    try:
        found = os.stat(directory.live if directory.served else directory.path)
    except OSError:
        return None
    return found.st_gid if found.st_mode & 0o020 else None


def _give_to_owner(descriptor: int, folder: Folder) -> None:
    """Root must leave no file that the folder's owner cannot write."""
    owner = os.fstat(folder.descriptor)
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _line(entry: Admitted) -> bytes:
    return json.dumps([entry.label, entry.value, entry.user, round(entry.at, 3)]).encode() + b"\n"


def _entry(line: bytes) -> Admitted | None:
    try:
        label, value, *more = json.loads(line)
        user, at = more if len(more) == 2 else (None, 0.0)
    except (ValueError, TypeError, RecursionError):
        return None
    if label.__class__ is not str or value.__class__ is not str:
        return None
    known = user.__class__ is int and 0 <= user < 2**32
    when = at.__class__ in (int, float) and 0 <= at < MAX_TIME
    return Admitted(label, value, user if known else None, float(at) if when else 0.0)
