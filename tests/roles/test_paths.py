"""What a member puts where our modules write, remove or give away is never followed: it is refused by name, or left."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.ansible_module import run_module, shared_code

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners are changed: run pytest as root")

MEMBER = 12345


@pytest.fixture
def paths() -> ModuleType:
    return shared_code("paths")


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """What a member would like to have changed: a folder with a file, both root's."""
    folder = tmp_path / "treasure"
    folder.mkdir(mode=0o755)
    (folder / "gold").write_text("gold", encoding="utf-8")
    return folder


def state(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Owner, group, mode and content of a folder and all below it."""
    return {
        str(path): (
            (facts := path.lstat()).st_uid, facts.st_gid, facts.st_mode,
            path.read_text(encoding="utf-8") if path.is_file() and not path.is_symlink() else "",
        )
        for path in [folder, *folder.rglob("*")]
    }  # fmt: skip


def socket_at(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


#: What may stand in the place of a folder, and the word that the refusal has for it.
IN_PLACE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "link": (lambda path, to: path.symlink_to(to), "a symbolic link to"),
    "dangling link": (lambda path, to: path.symlink_to("/nonexistent"), "a symbolic link to"),
    "link to itself": (lambda path, to: path.symlink_to(path), "a symbolic link to"),
    "relative link": (lambda path, to: path.symlink_to(os.path.relpath(to, path.parent)), "a symbolic link to"),
    "fifo": (lambda path, to: os.mkfifo(path), "a FIFO"),
    "file": (lambda path, to: path.write_text("x", encoding="utf-8"), "a file"),
    "socket": (lambda path, to: socket_at(path), "a socket"),
    "device": (lambda path, to: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3)), "a device"),
}


@pytest.mark.parametrize(("place", "said"), IN_PLACE.values(), ids=IN_PLACE.keys())
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("retired_paths", {"data": ["{0}"]}),
        ("retired_paths", {"data": ["{0}"], "purge": True}),
        ("retired_paths", {"data": ["{0}/below"], "purge": True}),
        ("retired_paths", {"files": ["{0}/gold"]}),
    ],
)
def test_what_stands_for_a_folder_is_named(
    tmp_path: Path, treasure: Path, place: Any, said: str, module: str, arguments: dict[str, Any]
) -> None:
    """Whatever stands where a folder is expected, nothing behind it changes, and the message names it."""
    spot = tmp_path / "spot"
    place(spot, treasure)
    os.lchown(spot, MEMBER, MEMBER)
    before = state(treasure)
    given = {key: [one.format(spot) for one in value] if value != True else value for key, value in arguments.items()}  # noqa: E712
    answer = run_module(module, given)
    assert answer.get("failed"), answer
    assert f"{spot} is {said}" in answer["msg"]
    assert state(treasure) == before


def test_links_of_root_above_a_folder_are_followed(tmp_path: Path, paths: ModuleType) -> None:
    """An administrator may keep /var/lib on another disk; a member's link in the same place is refused."""
    tmp_path.chmod(0o755)
    (tmp_path / "disk/data").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("disk")
    assert paths.is_folder(str(tmp_path / "lib/data"))
    os.lchown(tmp_path / "lib", MEMBER, MEMBER)
    with pytest.raises(paths.UnsafePath, match="lib is a symbolic link to disk"):
        paths.is_folder(str(tmp_path / "lib/data"))
    os.lchown(tmp_path / "lib", 0, 0)
    tmp_path.chmod(0o777)
    with pytest.raises(paths.UnsafePath):
        paths.is_folder(str(tmp_path / "lib/data"))


def test_root_may_keep_opt_elsewhere(tmp_path: Path, paths: ModuleType) -> None:
    """A link of root's right above what is still missing is followed; as the last name, or a member's, it is not."""
    tmp_path.chmod(0o755)
    (tmp_path / "disk").mkdir()
    opt = tmp_path / "opt"
    opt.symlink_to("disk")
    coming = str(opt / "hypertool/clock")
    assert not paths.exists(coming)
    paths.require_private(coming)
    with pytest.raises(paths.UnsafePath, match="opt is a symbolic link to disk"):
        paths.require_private(str(opt))
    (tmp_path / "disk").chmod(0o777)
    with pytest.raises(paths.UnsafePath, match="a folder of root's that nobody else may write"):
        paths.require_private(coming)
    (tmp_path / "disk").chmod(0o755)
    os.lchown(opt, MEMBER, MEMBER)
    with pytest.raises(paths.UnsafePath, match="opt is a symbolic link to disk"):
        paths.require_private(coming)


def member_data(data: Path, treasure: Path) -> None:
    """A data folder in which a member has left every trick there is."""
    data.mkdir()
    (data / "mine").mkdir()
    (data / "mine/numbers").write_text("1", encoding="utf-8")
    (data / "link").symlink_to(treasure)
    (data / "mine/file-link").symlink_to(treasure / "gold")
    os.link(treasure / "gold", data / "hard")
    os.mkfifo(data / "fifo")
    program = data / "program"
    program.write_text("#!/bin/sh\nid\n", encoding="utf-8")
    for path in [data, *data.rglob("*")]:
        if path.name != "hard":
            os.lchown(path, MEMBER, MEMBER)
    program.chmod(0o4755)


@pytest.mark.shared_host("S2")
def test_data_that_stay_become_roots_and_nothing_else(tmp_path: Path, treasure: Path) -> None:
    """Below data that stay, links are not followed, second names keep their owner, and no program stays setuid."""
    data = tmp_path / "data"
    os.chown(treasure / "gold", 77, 77)
    before = state(treasure)
    member_data(data, treasure)
    answer = run_module("retired_paths", {"data": [str(data)]})
    assert answer["kept"] == [str(data)], answer
    assert state(treasure) == before
    real = [path for path in [data, *data.rglob("*")] if not path.is_symlink() and path.name != "hard"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in real} == {(0, 0)}
    assert not (data / "program").stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert "second name elsewhere keep their owner: hard" in str(answer["warnings"])
    assert run_module("retired_paths", {"data": [str(data)]})["changed"] is False


def test_purging_takes_the_links_and_not_their_targets(tmp_path: Path, treasure: Path) -> None:
    data = tmp_path / "data"
    before = state(treasure)
    member_data(data, treasure)
    rehearsed = run_module("retired_paths", {"data": [str(data)], "purge": True}, check_mode=True)
    assert rehearsed["removed"] == [str(data)]
    assert data.exists()
    assert run_module("retired_paths", {"data": [str(data)], "purge": True})["removed"] == [str(data)]
    assert not data.exists()
    assert state(treasure) == before


def test_a_folder_3000_levels_deep_is_no_obstacle(tmp_path: Path) -> None:
    """Deeper than descriptors and recursion reach: it is handed over and removed all the same."""
    top = tmp_path / "deep"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    walks = shared_code("walks")
    assert walks.HandOver(MEMBER, MEMBER).whole(str(top)).given == 3001
    assert walks.remove(str(top))
    assert not top.exists()


def test_a_file_is_read_only_within_its_limit(tmp_path: Path, paths: ModuleType) -> None:
    (tmp_path / "huge").write_bytes(b"")
    os.truncate(tmp_path / "huge", 3 << 30)
    with pytest.raises(paths.UnsafePath, match="longer than"):
        paths.read_text(str(tmp_path / "huge"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(paths.UnsafePath, match="a FIFO"):
        paths.read_text(str(tmp_path / "fifo"))
    with pytest.raises(FileNotFoundError):
        paths.read_text(str(tmp_path / "absent"))


def test_nothing_is_written_where_others_write_too(tmp_path: Path, paths: ModuleType) -> None:
    """In a folder that others write, a staged file could be exchanged before it is put in place."""
    tmp_path.chmod(0o1777)
    with pytest.raises(paths.UnsafePath, match="writable by others"):
        paths.write_text(str(tmp_path / "file"), "x")
    tmp_path.chmod(0o755)
    (tmp_path / "file").symlink_to("/nonexistent")
    paths.write_text(str(tmp_path / "file"), "x", 0, MEMBER, 0o640)
    facts = (tmp_path / "file").lstat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_gid, stat.S_ISREG(facts.st_mode)) == (0o640, MEMBER, True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def account(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "nobody",
        "home": "/nonexistent",
        "folders": [
            {"path": str(folder), "group": "nogroup", "mode": "2750", **more},
            {"path": str(folder / "live"), "owner": "nobody", "group": "nogroup", "mode": "3770"},
        ],
    }


@pytest.mark.parametrize(("place", "said"), IN_PLACE.values(), ids=IN_PLACE.keys())
@pytest.mark.shared_host("S1")
def test_a_shared_folder_is_never_made_through_a_link(tmp_path: Path, treasure: Path, place: Any, said: str) -> None:
    """`live -> /etc/cron.d` gave a member a root cron job: whatever stands there is named, and nothing is changed."""
    store = tmp_path / "store"
    store.mkdir(mode=0o770)
    place(store / "live", treasure)
    before = state(treasure), store.stat()
    answer = run_module("service_account", account(store))
    assert answer.get("failed"), answer
    assert f"{store}/live is {said}" in answer["msg"]
    assert (state(treasure), store.stat()) == before


@pytest.mark.parametrize("place", [*(one for one, _ in IN_PLACE.values()), "hard link"], ids=[*IN_PLACE, "hard link"])
def test_older_stores_file_is_taken_over_or_named(tmp_path: Path, treasure: Path, place: Any) -> None:
    """Its content stays; in its place anything but a file of its own is an error, and its content is not copied."""
    store = tmp_path / "store"
    store.mkdir(mode=0o770)
    old = store / "archive.json"
    if place == "hard link":
        os.link(treasure / "gold", old)
    else:
        place(old, treasure / "gold")
    before = state(treasure)
    answer = run_module("service_account", account(store, legacy=["archive.json"]))
    if old.is_file() and not old.is_symlink() and place != "hard link":
        assert "took" in str(answer["done"]), answer
        facts = old.stat()
        assert (facts.st_uid, stat.S_IMODE(facts.st_mode), old.read_text(encoding="utf-8")) == (0, 0o640, "x")
        assert run_module("service_account", account(store, legacy=["archive.json"]))["changed"] is False
    else:
        assert answer.get("failed"), answer
        assert str(old) in answer["msg"]
    assert state(treasure) == before


def test_taken_over_file_is_closed_to_its_writer(tmp_path: Path) -> None:
    """A process that has the old file open goes on writing to it; the file is no longer read."""
    store = tmp_path / "store"
    store.mkdir(mode=0o770)
    (store / "archive.json").write_text("numbers", encoding="utf-8")
    with (store / "archive.json").open("a", encoding="utf-8") as held:
        run_module("service_account", account(store, legacy=["archive.json"]))
        held.write("forged")
    assert (store / "archive.json").read_text(encoding="utf-8") == "numbers"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("config_tree", {"path": "{0}/tree", "files": {"a": "b"}}),
        ("private_folders", {"names": ["{0}/tree"]}),
        ("recorded_packages", {"record": "{0}/record/record.json"}),
        (
            "venv_release",
            {
                "archive": "x", "digest": "x", "path": "{0}/venv", "releases": "{0}/r", "python": "x", "smoke": "",
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("how", ["a member's", "writable for all", "writable for a group", "a member's link"])
def test_no_module_writes_where_others_write(
    tmp_path: Path, treasure: Path, module: str, arguments: Any, how: str
) -> None:
    """Configuration, programs and the record go only where root alone can exchange what a path names."""
    spot = tmp_path / "spot"
    if how == "a member's link":
        spot.symlink_to(treasure)
        os.lchown(spot, MEMBER, MEMBER)
    else:
        spot.mkdir()
        spot.chmod({"a member's": 0o755, "writable for all": 0o777, "writable for a group": 0o770}[how])
        os.chown(spot, MEMBER if how == "a member's" else 0, MEMBER)
    before = state(treasure)
    given = json.loads(json.dumps(arguments).replace("{0}", str(spot)))
    answer = run_module(module, given)
    assert answer.get("failed"), answer
    assert str(spot) in answer["msg"]
    assert state(treasure) == before


def test_access_lists_of_a_member_are_removed(tmp_path: Path, paths: ModuleType) -> None:
    """A default access list that a member planted would shut the service out of new files."""
    folder = tmp_path / "live"
    folder.mkdir(mode=0o700)
    # user::rwx group::--- other::---, as setfacl -d writes it.
    entries = [(0x01, 7), (0x04, 0), (0x20, 0)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, 0xFFFFFFFF) for tag, rights in entries)
    try:
        os.setxattr(folder, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"the file system of {tmp_path} has no access lists ({error.strerror}); set TMPDIR to one that has")
    with paths.folder(str(folder)) as descriptor:
        assert paths.set_attributes(descriptor, 0, 0, 0o700)
        assert not paths.set_attributes(descriptor, 0, 0, 0o700)
    assert [name for name in os.listxattr(folder) if "acl" in name] == []
