"""Where the store is, and how files get into it: modes, atomic replacement, locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreUnavailable
from ..runtime.settings import STATE_DIR

HOST_DIRECTORY = Path("/var/lib/hypertool")
FILE_MODE = 0o660


class StateDirectory(NamedTuple):
    """A located store. `note` is what a user must know when the host's endpoint will not see it."""

    path: Path
    note: str | None = None

    @property
    def live(self) -> Path:
        """Snapshots of processes, one file each."""
        return self.path / "live"

    def ensure(self) -> None:
        """Make the directory where it is missing. Raises StoreUnavailable with the reason."""
        try:
            if not os.path.exists(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                self.path.chmod(0o2770 if self.path == HOST_DIRECTORY else 0o700)
            if not os.path.lexists(self.live):
                mode = stat.S_IMODE(self.path.stat().st_mode)
                self.live.mkdir(exist_ok=True)
                self.live.chmod(mode)
            elif not stat.S_ISDIR(self.live.lstat().st_mode):
                raise OSError(errno.ENOTDIR, f"{self.live} is not a directory (a link is not followed)")
        except OSError as error:
            raise self.unavailable(error) from None

    def unavailable(self, error: OSError) -> StoreUnavailable:
        """The one line that says what is wrong with the store."""
        reason = error.strerror or str(error)
        if full(error):
            return StoreUnavailable(f"the state directory {self.path} cannot be used: {reason}; free some space there")
        return StoreUnavailable(
            f"the state directory {self.path} cannot be used: {reason}; make it writable for this user "
            f"(members of the group hypertool may write /var/lib/hypertool), or set HYPERTOOL_STATE_DIR"
        )


def full(error: OSError) -> bool:
    """Whether it is the disk or the quota that is used up, which another directory or owner does not mend."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def own_directory() -> Path:
    """The user's own state directory: $XDG_STATE_HOME/hypertool."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "hypertool"


def _writable(path: Path) -> bool:
    # os.path, because Path's own tests raise where a directory above may not be searched.
    if os.path.isdir(path):
        return os.access(path, os.R_OK | os.W_OK | os.X_OK)
    return os.geteuid() == 0 and not os.path.lexists(path)


def locate() -> StateDirectory:
    """HYPERTOOL_STATE_DIR, else /var/lib/hypertool where this user may write it, else the user's own directory."""
    chosen = STATE_DIR.read()
    if chosen:
        return StateDirectory(Path(chosen))
    if _writable(HOST_DIRECTORY):
        return StateDirectory(HOST_DIRECTORY)
    own = own_directory()
    if os.path.exists(HOST_DIRECTORY):
        return StateDirectory(
            own,
            f"this user may not write {HOST_DIRECTORY}, so the numbers go to {own}, which the host's endpoint "
            f"does not see; add the user to the group hypertool (`usermod -aG hypertool USER`, then log in again)",
        )
    return StateDirectory(own)


def create(path: Path, flags: int = os.O_WRONLY | os.O_CREAT | os.O_EXCL) -> int:
    """Open a file of the store for writing, 0660 whatever the umask; returns the descriptor.

    A symbolic link is refused: whoever may write this directory must not choose which file root changes.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != FILE_MODE:
            os.fchmod(descriptor, FILE_MODE)
    except PermissionError:
        pass  # somebody else's file: its owner set the mode
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, size: int = -1) -> bytes:
    """The content of a regular file of the store, or its first `size` bytes.

    Raises OSError, also for a link, a pipe or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(size)


def stamp(descriptor: int) -> None:
    """Give a file a time to the nanosecond.

    The kernel's own is one of its ticks, so two files that follow each other in one inode could look the same.
    """
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything; a short write (a full disk) is an OSError at the next round."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def locked(path: Path, wait: bool = True, seconds: float | None = None) -> Iterator[int | None]:
    """Hold an exclusive lock on a file; yields its descriptor, or None where it is taken and `wait` is off.

    With `seconds` it waits no longer than that: whoever holds it may be stopped.
    """
    descriptor: int | None = None
    deadline = time.monotonic() + (seconds or 0.0)
    try:
        while descriptor is None:
            descriptor = create(path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait and seconds is None else fcntl.LOCK_NB))
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    break
                os.close(descriptor)
                descriptor = None
                time.sleep(0.002)
                continue
            if not same_file(descriptor, path):  # removed while it was waited for: that lock holds nobody off
                os.close(descriptor)
                descriptor = None
        else:
            yield descriptor
            return
        yield None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def same_file(descriptor: int, path: Path) -> bool:
    """Whether that open file is still the one at that path."""
    opened = os.fstat(descriptor)
    try:
        current = os.lstat(path)
    except FileNotFoundError:
        return False
    return (opened.st_ino, opened.st_dev) == (current.st_ino, current.st_dev)
