"""`hypertool gate --quiet`: prints the exit code and the last lines; the whole output goes to a file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

END_BYTES = 256 * 1024
LINE_CHARACTERS = 2000
#: The outputs that are kept, by number and by their sum in bytes, beside the new one.
KEPT_FILES = 50
KEPT_BYTES = 200_000_000
_ENDING = ".log"


def quietly(run: Callable[[int], int], tail: int) -> int:
    """Run something with its output in a file; prints its last `tail` lines, its exit code and the file's path.

    Output of gates would otherwise fill most of an agent's context. The file lies in a folder of this user, where the
    outputs of earlier gates go when they are many.
    """
    descriptor, path = _created()
    try:
        code = run(descriptor)
        size = os.fstat(descriptor).st_size
        for line in last_lines(descriptor, size, tail):
            print(line)
    finally:
        os.close(descriptor)
    print(f"hypertool gate: exit code {code}; the whole output ({size} bytes) is in {path}", flush=True)
    return code


def last_lines(descriptor: int, size: int, count: int) -> list[str]:
    """The last lines of a file, at most 256 KiB and 2,000 characters a line."""
    if count <= 0:
        return []
    start = max(0, size - END_BYTES)
    text = os.pread(descriptor, size - start, start).decode("utf-8", "replace")
    return [line[:LINE_CHARACTERS] for line in text.splitlines()[-count:]]


def _created() -> tuple[int, str]:
    """Descriptor and path of a new file. Where the user's own folder cannot be had, one for temporary files does."""
    from ..store.directory import open_personal, own_directory, personal

    folder = personal("gates") or own_directory() / "gates"
    try:
        with open_personal(folder) as opened:
            _tidy(opened.descriptor)
            # In the order of time by their names.
            name = f"{time.time_ns():020}-{os.getpid()}{_ENDING}"
            return opened.create(name, 0o600, os.O_RDWR | os.O_CREAT | os.O_EXCL), str(folder / name)
    except OSError:
        import tempfile

        return tempfile.mkstemp(prefix="hypertool-gate-", suffix=_ENDING)


def _tidy(folder: int) -> None:
    """Remove the oldest outputs beyond the limits."""
    total = 0
    names = sorted((name for name in os.listdir(folder) if name.endswith(_ENDING)), reverse=True)
    for number, name in enumerate(names, start=1):
        with contextlib.suppress(OSError):  # another gate was faster
            total += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
            if number > KEPT_FILES or total > KEPT_BYTES:
                os.unlink(name, dir_fd=folder)
