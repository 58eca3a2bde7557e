"""`hypertool gate --quiet`: prints the exit code and the last lines; the whole output goes to a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

END_BYTES = 256 * 1024
LINE_CHARACTERS = 2000


def quietly(run: Callable[[int], int], tail: int) -> int:
    """Run something with its output in a file; prints its last `tail` lines, its exit code and the file's path.

    Output of gates would otherwise fill most of an agent's context.
    """
    descriptor, path = tempfile.mkstemp(prefix="hypertool-gate-", suffix=".log")
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
