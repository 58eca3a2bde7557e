"""What of a host stands in the way of an installation, as the module tells it without changing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ansible_module import run_module


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that runs no programs, is read-only and takes 90 files; `link` is in it."""
    folder = tmp_path / "var"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=92,size=1g", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount ({mounted.stderr.strip()}): run it as root with CAP_SYS_ADMIN")
    (folder / "link").symlink_to("elsewhere")
    subprocess.run(["mount", "-o", "remount,noexec,ro", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_mount_that_is_in_the_way_is_named(odd: Path, tmp_path: Path) -> None:
    """A folder that runs no programs or is read-only is named, also before it exists; a file that is there is not."""
    folders = [str(odd), str(odd / "lib" / "dpkg")]
    others = [os.path.dirname(os.__file__), str(tmp_path)]
    found = run_module(
        "host_conflicts",
        {"units": {}, "programs": [*folders, others[0]], "writes": [*folders, str(odd / "link"), others[1]]},
    )
    assert found["noexec"] == folders
    assert found["readonly"] == folders


def test_too_little_room_is_named(odd: Path, tmp_path: Path) -> None:
    """No file can be made on a disk with gigabytes free where its table of files is full."""
    found = run_module("host_conflicts", {"units": {}, "room": [str(odd / "later"), str(tmp_path)]})["full"]
    assert found == [f"{odd}/later: 90 more files can be made (`df -i`), 4000 are needed"]


def test_stranger_writes_nothing_on_the_terminal(tmp_path: Path) -> None:
    """Whoever holds a port chooses its command line, and Ansible prints messages as they are: it is written out."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    command = ["\x1b]0;mine\x07\x9b2J\u202e\nok: [host]", "-c", code]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        found = run_module("host_conflicts", {"units": {"a.service": [port]}})
        holder.communicate(b"\n")
    assert f"process {holder.pid}" in found["ports"][0]
    assert [one for one in found["ports"][0] if not one.isprintable()] == []


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
