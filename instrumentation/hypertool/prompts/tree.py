"""Files below one folder: no path leads out of it, whatever links lie there; writing is atomic."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from ..errors import HypertoolError
from ..runtime import atomic_files

MAX_BYTES = 1 << 20


class Refused(HypertoolError):
    """A file that was not written, with the reason and the next step."""


class Tree:
    """The folder `top`, which must exist. Links inside it are followed only to places inside it."""

    def __init__(self, top: str) -> None:
        self.top = os.path.realpath(top)
        if not os.path.isdir(self.top):
            raise Refused(f"{top} is not a folder; create it, or name another one with --into")

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where there is none. Raises Refused."""
        folder, name = self._place(path)
        try:
            with self._opened(folder) as within:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=within)
                with open(descriptor, "rb") as file:
                    found = os.fstat(descriptor)
                    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
                        raise Refused(f"{path} is not a file of at most {MAX_BYTES} bytes; move it away")
                    return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}; make it a readable file of yours") from None

    def write(self, path: str, content: bytes) -> None:
        """Replace or create a file with its folders. Raises Refused; the old content then stays."""
        folder, name = self._place(path)
        try:
            with self._opened(folder, create=True) as within:
                mode = 0o644
                with contextlib.suppress(FileNotFoundError):
                    mode = stat.S_IMODE(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
                atomic_files.replace(name, content, mode, within=within)
        except OSError as error:
            raise Refused(
                f"{path} cannot be written: {error.strerror}; check that you can write there and that it has space"
            ) from None

    def matching(self, pattern: str) -> list[str]:
        """Existing paths for a pattern with one `*`, which is within one name; what cannot be read has none."""
        folder, _, rest = pattern.partition("*")
        folder, start = os.path.split(folder)
        end, slash, below = rest.partition("/")
        try:
            place, last = self._place(folder)
            with self._opened([*place, last]) as within:
                names = sorted(os.listdir(within))
        except (OSError, Refused):
            return []
        fitting = [name for name in names if name.startswith(start) and name.endswith(end)]
        paths = [f"{folder}/{name}{slash}{below}" for name in fitting]
        return [path for path in paths if os.path.lexists(os.path.join(self.top, path))]

    def remove(self, path: str) -> None:
        """Remove a file, and its folder if that is empty then. Raises Refused."""
        folder, name = self._place(path)
        try:
            with self._opened(folder) as within:
                os.unlink(name, dir_fd=within)
            with self._opened(folder[:-1]) as above, contextlib.suppress(OSError):
                os.rmdir(folder[-1], dir_fd=above)
        except OSError as error:
            raise Refused(f"{path} cannot be removed: {error.strerror}; check that you can write there") from None

    def _place(self, path: str) -> tuple[list[str], str]:
        """The real place of a file below the top: its folders, and its name."""
        real = os.path.realpath(os.path.join(self.top, path))
        if not real.startswith(self.top.rstrip("/") + "/"):
            raise Refused(f"{path} leads out of {self.top}, to {real}; remove the link")
        *folders, name = os.path.relpath(real, self.top).split("/")
        return folders, name

    @contextlib.contextmanager
    def _opened(self, folders: list[str], create: bool = False) -> Iterator[int]:
        """The descriptor of a folder. Links were resolved before; one that appeared since is refused."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(self.top, flags)
        try:
            for name in folders:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o755, dir_fd=descriptor)
                inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
