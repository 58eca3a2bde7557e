"""A file system of 256 KiB, for what happens when a disk is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(path: Path, mode: str) -> Iterator[None]:
    """Mounted at `path` with this mode; skips the test where nothing may be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size=256k,mode={mode}", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a tmpfs ({mounted.stderr.strip()}); run it where root may")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
