"""What of a host stands in the way of an installation, as the module tells it without changing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ansible_module import run_module


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that runs no programs, and is read-only."""
    folder = tmp_path / "var"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec,ro", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount ({mounted.stderr.strip()}): run it as root with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_mount_that_is_in_the_way_is_named(odd: Path, tmp_path: Path) -> None:
    """A folder that runs no programs or is read-only is named, also before it exists; others are not."""
    folders = [str(odd), str(odd / "lib" / "dpkg")]
    others = [os.path.dirname(os.__file__), str(tmp_path)]
    found = run_module(
        "host_conflicts", {"units": {}, "programs": [*folders, others[0]], "writes": [*folders, others[1]]}
    )
    assert found["noexec"] == folders
    assert found["readonly"] == folders


def test_held_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that apt would have to install is in the way; a held one that is there, or an unknown one, is not."""
    if shutil.which("dpkg-query") is None:
        pytest.skip("there is no dpkg here: run it on Debian or Ubuntu")
    (tmp_path / "updates").mkdir()
    states = {"coming": "hold ok not-installed", "there": "hold ok installed", "free": "install ok installed"}
    (tmp_path / "status").write_text(
        "".join(
            f"Package: {name}\nStatus: {state}\nPriority: optional\nSection: misc\nMaintainer: a <a@b>\n"
            f"Architecture: all\nVersion: 1\nDescription: d\n\n"
            for name, state in states.items()
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    found = run_module("host_conflicts", {"units": {}, "packages": ["coming", "there", "free", "unknown"]})
    assert found["held"] == ["coming"]
