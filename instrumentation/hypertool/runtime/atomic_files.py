"""Replaces a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import os


def replace(path: str, content: bytes, mode: int, *, within: int | None = None) -> None:
    """Write `path` (relative to the folder with the descriptor `within`) with that mode, through a temporary file.

    A link at `path` is replaced, not followed. Raises OSError; the old content then stays.
    """
    folder, name = os.path.split(path)
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
