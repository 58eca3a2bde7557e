"""Files of users: read with limits, replaced atomically with their own mode, never through another user's link."""

from __future__ import annotations

import contextlib
import os
import stat

from ...errors import HypertoolError
from ...runtime import atomic_files

MAX_BYTES = 4 << 20


class CannotEdit(HypertoolError):
    """A file that stays unchanged, with the reason and the next step."""


def real(path: str) -> str:
    """The real path of the file: a link of the user's own (many keep such files elsewhere) is followed.

    Raises CannotEdit for another user's link: who made it would choose which file is written.
    """
    place = os.path.abspath(path)
    while place != "/":
        with contextlib.suppress(OSError):
            found = os.lstat(place)
            if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
                raise CannotEdit(
                    f"{path} leads through {place}, a link of user {found.st_uid}; remove it, then try again"
                )
        place = os.path.dirname(place)
    return os.path.realpath(path)


def read(path: str) -> bytes | None:
    """The file's content, None if it does not exist. Raises CannotEdit."""
    where = real(path)
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotEdit(f"{path} cannot be read: {error.strerror}; make it a readable file of yours") from None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CannotEdit(f"{path} is not a regular file; move it away, then run `hypertool agents install` again")
        if found.st_uid != os.geteuid():
            raise CannotEdit(
                f"{path} belongs to another user; make it yours, then run `hypertool agents install` again"
            )
        if found.st_size > MAX_BYTES:
            raise CannotEdit(f"{path} has {found.st_size} bytes, expected at most {MAX_BYTES}; it is left alone")
        return file.read()


def check_writable(path: str) -> None:
    """Raises CannotEdit where the file's own mode forbids writing (which root could ignore), or its folder does."""
    where = real(path)
    with contextlib.suppress(OSError):
        if not os.lstat(where).st_mode & 0o200:
            raise CannotEdit(f"{path} is read-only; make it writable (`chmod u+w`), then try again")
    folder = os.path.dirname(where)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise _not_written(path, "Permission denied", folder)


def _not_written(path: str, reason: str | None, folder: str) -> CannotEdit:
    return CannotEdit(f"{path} cannot be written: {reason}; check that you can write to {folder} and that it has space")


def write(path: str, content: bytes, mode: int = 0o600) -> None:
    """Replace the file, or create it with that mode. Raises CannotEdit; the old content then stays."""
    where = real(path)
    folder = os.path.dirname(where)
    try:
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(os.lstat(where).st_mode)
        check_writable(path)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        atomic_files.replace(where, content, mode)
    except OSError as error:
        raise _not_written(path, error.strerror, folder) from None


def delete(path: str) -> None:
    """Remove the file. Raises CannotEdit."""
    try:
        os.unlink(real(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotEdit(f"{path} cannot be removed: {error.strerror}") from None
