"""What is noted of a host before the first change, and what is put back: with real files in a folder of their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.ansible_module import shared_code

inventory = shared_code("inventory")


@pytest.fixture
def record(tmp_path: Path) -> Any:
    copies = tmp_path / "record"
    return SimpleNamespace(paths={}, looked=set(), copy_of=lambda path: f"{copies}{path}")


def md5(path: Path) -> str:
    return str(inventory.digest_of(str(path), "md5"))


def tree(path: Path) -> dict[str, tuple[int, str]]:
    return {
        str(one.relative_to(path)): (stat.S_IMODE(one.lstat().st_mode), one.read_text() if one.is_file() else "")
        for one in sorted(path.rglob("*"))
    }


def test_a_deleted_file_comes_back(record: Any, tmp_path: Path) -> None:
    """A file that a package deletes is there again, with its content, mode and folder."""
    theirs = tmp_path / "etc" / "theirs.yml"
    theirs.parent.mkdir(mode=0o750)
    theirs.write_text("theirs")
    theirs.chmod(0o640)
    found = inventory.Inventory(record)
    assert found.look_at_files([str(theirs), str(tmp_path / "absent")]) == [str(theirs)]
    theirs.unlink()
    assert found.restore({}) == [str(theirs)]
    assert (theirs.read_text(), stat.S_IMODE(theirs.stat().st_mode)) == ("theirs", 0o640)


@pytest.mark.parametrize(("by", "expected"), [("the package", "theirs"), ("its owner", "edited")])
def test_only_what_a_package_wrote_is_replaced(record: Any, tmp_path: Path, by: str, expected: str) -> None:
    """A file that a package replaced gets its content of before; one that its owner edited meanwhile stays edited."""
    theirs = tmp_path / "theirs.yml"
    theirs.write_text("theirs")
    found = inventory.Inventory(record)
    found.look_at_files([str(theirs)])
    theirs.write_text("the package's" if by == "the package" else "edited")
    packaged = tmp_path / "packaged"
    packaged.write_text("the package's")
    found.restore({str(theirs): md5(packaged)})
    assert theirs.read_text() == expected


def test_owner_and_mode_of_a_data_folder_come_back(record: Any, tmp_path: Path) -> None:
    """A package's script gives folders to its user; afterwards they have their owner and mode of before."""
    data = tmp_path / "lib" / "metrics2"
    data.mkdir(parents=True, mode=0o700)
    os.chown(data, 12345, 12345)
    found = inventory.Inventory(record)
    found.look_at_folders([str(data.parent)])
    os.chown(data, 0, 0)
    data.chmod(0o755)
    assert found.restore({}) == [str(data)]
    assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (12345, 0o700)


def test_a_data_folder_on_another_disk_comes_back(record: Any, tmp_path: Path) -> None:
    """Where the folder is a link, it comes back, what is behind it is as it was, and purging does not see it."""
    disk, folder = tmp_path / "disk" / "data", tmp_path / "lib"
    (disk / "metrics2").mkdir(parents=True)
    os.chown(disk / "metrics2", 12345, 12345)
    folder.symlink_to(disk)
    found = inventory.Inventory(record)
    found.look_at_folders([str(folder)])
    assert shared_code("removal").Removal(None, None, record)._hidden() == [str(disk)]
    folder.unlink()
    os.chown(disk / "metrics2", 0, 0)
    assert found.restore({}) == [str(disk / "metrics2"), str(folder)]
    assert os.readlink(folder) == str(disk)
    assert (disk / "metrics2").stat().st_uid == 12345


def test_a_folder_with_nothing_but_ours_is_not_theirs(record: Any, tmp_path: Path) -> None:
    """What an uninstallation kept is ours, and so is what a package of ours brought."""
    kept, packaged = tmp_path / "kept", tmp_path / "packaged"
    (kept / "hypertool").mkdir(parents=True)
    (packaged / "metrics2").mkdir(parents=True)
    paths = [str(packaged), str(packaged / "metrics2")]
    inventory.Inventory(record).look_at_folders([str(kept), str(packaged)], paths)
    assert record.paths == {}
    assert record.looked == {str(kept), str(packaged)}


def test_what_was_noted_once_is_not_noted_again(record: Any, tmp_path: Path) -> None:
    """The first look counts: what came later, by us, is not taken for something of before."""
    folder = tmp_path / "lib"
    found = inventory.Inventory(record)
    assert found.look_at_folders([str(folder)])
    folder.mkdir()
    assert not found.look_at_folders([str(folder)])
    assert record.paths == {}


@pytest.mark.parametrize("made", ["link", "fifo", "folder"])
def test_what_is_no_file_any_more_is_left_alone(record: Any, tmp_path: Path, made: str) -> None:
    """A link, a pipe or a folder in a file's place is neither followed nor replaced."""
    theirs, target = tmp_path / "theirs", tmp_path / "target"
    theirs.write_text("theirs")
    target.write_text("target")
    target.chmod(0o600)
    found = inventory.Inventory(record)
    found.look_at_files([str(theirs)])
    theirs.unlink()
    {"link": lambda: theirs.symlink_to(target), "fifo": lambda: os.mkfifo(theirs), "folder": theirs.mkdir}[made]()
    before = tree(tmp_path / "record")
    assert found.restore({str(theirs): md5(target)}) == []
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("target", 0o600)
    assert tree(tmp_path / "record") == before
