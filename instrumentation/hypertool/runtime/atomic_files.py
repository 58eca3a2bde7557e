"""Replaces a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_OF_THE_KERNEL = ("/proc/", "/sys/")


def replace(path: str, content: bytes, mode: int, *, within: int | None = None) -> None:
    """Write `path` (relative to the folder with the descriptor `within`) with that mode, through a temporary file.

    A link at `path` is replaced, not followed. Raises OSError; the old content then stays. It is EINVAL for a device,
    a pipe or a link to one: root could otherwise replace `/dev/null` by a file.
    """
    folder, name = os.path.split(path)
    _check(path, folder, within)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.hypertool")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o600, dir_fd=within)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, path, src_dir_fd=within, dst_dir_fd=within)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=within)
        raise


def new_file_mode() -> int:
    """The mode that this process gives to files that it creates."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _check(path: str, folder: str, within: int | None) -> None:
    """Raises OSError for something that is there and is no file."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path, dir_fd=within).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
    real = os.path.realpath(folder or ".") + "/"
    if within is None and (real == "/dev/" or real.startswith(_OF_THE_KERNEL)):
        raise OSError(errno.EINVAL, f"{folder} is no folder for files")
