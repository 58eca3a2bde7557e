"""A Python of its own with pinned packages, for what must not be installed beside the tests."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path


def make(place: Path, pins: Path, *options: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Make a virtual environment at `place` with the packages of a file with hashes; pip's outcome, good or bad."""
    venv.create(place, clear=True, with_pip=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
    return subprocess.run([*pip, *options, "-r", pins], capture_output=True, text=True, timeout=seconds)
