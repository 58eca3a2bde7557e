"""Files in folders that other users may write: follows no links, never blocks on a pipe, reads only up to a limit.

A folder is opened once and its entries are reached through its descriptor, so no path is resolved twice. Checks of a
file (type, owner, size) use the open descriptor. Locks have a deadline, and a forked child releases those that its
parent's threads hold.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from _thread import RLock, get_ident  # `threading` takes a hook half a millisecond to import
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

LOCK_SECONDS = 0.5
# After a lock timed out, nothing waits for it again for this long: one held lock costs one wait.
IMPATIENT_SECONDS = 10.0

_BASE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Folder:
    """An open folder. `path` itself may be a link (its user chose it); the folders `below` it may not."""

    __slots__ = ("_below", "_path", "descriptor")

    def __init__(self, path: Path, *below: str) -> None:
        """Raises OSError: ENOTDIR or ELOOP if one of `below` is a link or not a folder."""
        self._path, self._below = path, below
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in below:
            try:
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=descriptor)
            except NotADirectoryError:
                raise NotADirectoryError(
                    errno.ENOTDIR, f"{self.path} is not a directory (a link is not followed)"
                ) from None
            finally:
                os.close(descriptor)
            descriptor = inner
        self.descriptor = descriptor

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    @property
    def path(self) -> Path:
        """The path of the folder, for messages."""
        return self._path.joinpath(*self._below)

    @property
    def owner(self) -> int:
        """The user that owns this folder."""
        return os.fstat(self.descriptor).st_uid

    def status(self, name: str) -> os.stat_result:
        """The status of that name itself, not of a link's target."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def open(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """A descriptor of the regular file. Raises OSError for a link, a pipe, a device, a socket or a folder."""
        descriptor = os.open(name, flags | _BASE, mode, dir_fd=self.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(self.path / name))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def create(self, name: str, mode: int, flags: int = os.O_WRONLY | os.O_CREAT | os.O_EXCL) -> int:
        """Open for writing, with exactly that mode whatever the umask (another user's file keeps its own)."""
        descriptor = self.open(name, flags, mode)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
                os.fchmod(descriptor, mode)
        except PermissionError:
            pass  # another user's file: its owner chose the mode
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str, limit: int, owner: int | None = None) -> bytes:
        """The content of a regular file. Raises OSError: EFBIG beyond `limit` bytes, EPERM for another `owner`."""
        descriptor = self.open(name)
        try:
            return read_descriptor(descriptor, limit, str(self.path / name), owner)
        finally:
            os.close(descriptor)

    def replace(self, name: str, data: bytes, mode: int) -> None:
        """Put a file with that content in place, durably and atomically. On an OSError nothing is left."""
        temporary = f".{name}.{os.urandom(4).hex()}.new"
        with self.creating(temporary, mode) as descriptor:
            write_all(descriptor, data)
            stamp(descriptor)
            os.fsync(descriptor)
            self.rename(temporary, name)

    @contextlib.contextmanager
    def creating(self, name: str, mode: int) -> Iterator[int]:
        """The descriptor of a new file. If the block fails, the file is removed: a full disk needs the space."""
        descriptor = self.create(name, mode)
        try:
            yield descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                self.unlink(name)
            raise
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str, to: Folder | None = None) -> None:
        """Rename inside this folder, or into another one."""
        target = to.descriptor if to is not None else self.descriptor
        os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=target)

    def unlink(self, name: str) -> None:
        """Remove a name. Raises OSError."""
        os.unlink(name, dir_fd=self.descriptor)

    def holds(self, name: str, descriptor: int) -> bool:
        """Whether that name still refers to the open file."""
        opened = os.fstat(descriptor)
        try:
            current = self.status(name)
        except FileNotFoundError:
            return False
        return (opened.st_ino, opened.st_dev) == (current.st_ino, current.st_dev)


def read_descriptor(descriptor: int, limit: int, shown: str, owner: int | None = None) -> bytes:
    """The content of an open regular file; refuses a file that is too large or another user's before reading it."""
    found = os.fstat(descriptor)
    if owner is not None and found.st_uid != owner:
        raise OSError(errno.EPERM, f"belongs to user {found.st_uid}, expected {owner}", shown)
    parts: list[bytes] = []
    left = limit + 1
    if found.st_size > limit:
        left = 0
    while left > 0:
        part = os.read(descriptor, min(left, 1 << 20))
        if not part:
            return b"".join(parts)
        parts.append(part)
        left -= len(part)
    raise OSError(errno.EFBIG, f"has more than {limit} bytes", shown)


def stamp(descriptor: int) -> None:
    """Give a file a time to the nanosecond.

    The kernel's timestamps have the resolution of a tick, so two successive files in one inode could look the same.
    """
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; a short write (a full disk) becomes an OSError in the next iteration."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


# Locks

_held: dict[object, int] = {}
# No fork may happen between opening a lock's file and noting its descriptor: the child would keep the lock.
_opening = RLock()
_paused_by = 0
_impatient: dict[str, float] = {}


@contextlib.contextmanager
def locked(folder: Folder, name: str, seconds: float = LOCK_SECONDS, mode: int = 0o600) -> Iterator[int | None]:
    """Hold an exclusive lock on a file of the folder, created if missing; yields its descriptor.

    Yields None if the lock is not available within `seconds`: the process that holds it may be stopped or hostile.
    Raises OSError if the name is a link, a pipe or a folder.
    """
    shown = f"{folder.path}/{name}"
    now = time.monotonic()
    if now < _impatient.get(shown, 0.0):
        seconds = 0.0
    deadline = now + seconds
    held = object()
    try:
        descriptor = _open_lock(held, folder, name, mode)
        delay = 0.0005
        while True:
            if not folder.holds(name, descriptor):  # removed meanwhile: a lock on that file excludes no other process
                _let_go(held)
                descriptor = _open_lock(held, folder, name, mode)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    if seconds:
                        _impatient[shown] = time.monotonic() + IMPATIENT_SECONDS
                    break
                # Growing, randomised pauses: a hundred polling processes would leave the holder no processor time.
                delay = min(delay * 2, 0.032)
                time.sleep(min(delay * (0.5 + time.monotonic_ns() % 1000 / 1000), max(deadline - now, 0.0)))
                continue
            if folder.holds(name, descriptor):
                _impatient.pop(shown, None)
                yield descriptor
                return
        _let_go(held)
        yield None
    finally:
        _let_go(held)


def _open_lock(held: object, folder: Folder, name: str, mode: int) -> int:
    with _opening:
        descriptor = _held[held] = folder.create(name, mode, os.O_RDWR | os.O_CREAT)
    return descriptor


def _let_go(held: object) -> None:
    descriptor = _held.pop(held, None)
    if descriptor is not None:
        os.close(descriptor)


def _before_fork() -> None:
    global _paused_by
    if _opening.acquire(timeout=1.0):
        _paused_by = get_ident()


def _after_fork_in_parent() -> None:
    global _paused_by
    if _paused_by == get_ident():
        _paused_by = 0
        _opening.release()


def after_fork_in_child() -> None:
    """Close the locks that the parent's threads hold: otherwise the child would hold them for its whole life."""
    global _opening, _paused_by
    _opening = RLock()
    _paused_by = 0
    for held in list(_held):
        with contextlib.suppress(OSError):
            _let_go(held)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=after_fork_in_child)
