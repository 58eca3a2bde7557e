"""What of a host stands in the way of an installation, as the module tells it without changing anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ansible_module import run_module


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that runs no programs."""
    folder = tmp_path / "var"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount ({mounted.stderr.strip()}): run it as root with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_folder_that_runs_no_programs_is_named(noexec: Path) -> None:
    """One on a file system with noexec is named, also before it exists; others are not."""
    there, coming = str(noexec), str(noexec / "lib" / "dpkg")
    found = run_module("host_conflicts", {"units": {}, "programs": [there, coming, os.path.dirname(os.__file__)]})
    assert found["noexec"] == [there, coming]
