"""What lies in the store and is not ours, damaged or not readable: counted, left alone, never in the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest

from hypertool.domain import personas as catalogue
from hypertool.domain.labels import MAX_OTHERS
from hypertool.errors import StoreUnavailable
from hypertool.runtime.foreign_files import Folder, locked
from hypertool.store.directory import StateDirectory
from hypertool.store.snapshots import abandoned
from hypertool.store.store import Store
from tests.support.box import until
from tests.support.store_writers import Process, store, total

NOT_SNAPSHOTS = {
    "empty": b"",
    "cut": b'{"v":1,"id":"x","t":1.0,"c":[["tok","backend-en',
    "garbage": b"\x00\xff\x80 no json",
    "another version": b'{"v":99,"t":1.0}',
    "an array": b"[1,2,3]",
    "deep": b"[" * 100_000,
}
WHOLE = {"v": 1, "t": 1.0, "c": [], "h": [], "m": [], "s": [], "a": [], "e": [], "w": [], "l": []}
IMPOSSIBLE = {
    "huge count": {"c": [["tok", "p", "c", "m", 10**30]]},
    "negative count": {"c": [["tok", "p", "c", "m", -1]]},
    "float count": {"c": [["tok", "p", "c", "m", 1.5]]},
    "too few labels": {"c": [["tok", "p", 1]]},
    "lone surrogate": {"c": [["tok", "p", "\ud800", "m", 1]]},
    "number as label": {"c": [["tok", "p", 5, "m", 1]]},
    "missing bucket": {"h": [["st", "w", "s", "p", [0, 1], 5, {}]]},
    "infinite time": {"s": [["w", "s", float("inf"), True]]},
    "time that is none": {"e": [["p", float("nan"), 1, 0]]},
    "unknown window": {"l": [["p", 5, "century", 1.0]]},
    "long trace": {"h": [["st", "w", "s", "p", [0] * 13, 5, {"0": ["a" * 500, "b", 1.0, 1.0]}]]},
}


def _leave(path: Path, content: bytes) -> Path:
    (path / "live").mkdir(parents=True, exist_ok=True)
    file = path / "live" / f"{os.urandom(16).hex()}.json"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "content",
    [*NOT_SNAPSHOTS.values(), *(json.dumps(WHOLE | broken).encode() for broken in IMPOSSIBLE.values())],
    ids=[*NOT_SNAPSHOTS, *IMPOSSIBLE],
)
def test_foreign_file_is_counted_and_kept(tmp_path: Path, content: bytes) -> None:
    """A file that is not a snapshot is counted and left alone."""
    Process(tmp_path).tokens(10).publish().die()
    strange = _leave(tmp_path, content)
    reading = store(tmp_path)
    assert (reading.read().unreadable, total(tmp_path)) == (1, 10)
    assert reading.fold() == 1
    assert (reading.read().unreadable, reading.read().writers, total(tmp_path)) == (1, 0, 10)
    assert strange.read_bytes() == content


def test_a_whole_snapshot_of_nothing_is_readable(tmp_path: Path) -> None:
    """Guards the test above: what it damages would be accepted otherwise."""
    _leave(tmp_path, json.dumps(WHOLE).encode())
    assert store(tmp_path).read().unreadable == 0
    assert store(tmp_path).fold() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not read a file; run it as root")
def test_unreadable_file_is_counted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's unreadable file is counted and left alone."""
    Process(tmp_path).tokens(10).publish().die()
    secret = _leave(tmp_path, json.dumps(WHOLE).encode())
    secret.chmod(0)
    for place in (tmp_path, *tmp_path.parents[:3]):
        place.chmod(place.stat().st_mode | 0o755)
    for place in (tmp_path, tmp_path / "live"):
        place.chmod(0o777)
    for file in tmp_path.rglob("*"):
        if file != secret and file.is_file():
            file.chmod(0o666)
    # A checkout may be unreadable for others; an installed package never is.
    personas = tmp_path / "personas.json"
    shutil.copy(catalogue.DEFAULTS_PARSED, personas)
    monkeypatch.setattr(catalogue, "DEFAULTS_PARSED", personas)
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            reading = store(tmp_path)
            ok = reading.fold() == 1 and reading.read().unreadable == 1 and total(tmp_path) == 10
            os._exit(0 if ok else 1)
        except BaseException as error:
            print(repr(error))
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert stat.S_IMODE(secret.stat().st_mode) == 0


def test_temporary_files_of_dead_writers_go(tmp_path: Path) -> None:
    """Temporary files of dead writers are removed; those of living ones stay."""
    live = store(tmp_path).directory.live
    old, locked_one, young, foreign = (live / f".{os.urandom(16).hex()}.tmp" for _ in range(4))
    foreign = live / "notes.tmp"
    for file in (old, locked_one, young, foreign):
        file.write_bytes(b"x")
    for file in (old, locked_one, foreign):
        os.utime(file, (1, 1))
    with Folder(live) as folder, locked(folder, locked_one.name):
        os.utime(locked_one, (1, 1))
        store(tmp_path).fold()
        assert sorted(live.iterdir()) == sorted([locked_one, young, foreign])


def test_links_and_pipes_are_not_opened(tmp_path: Path) -> None:
    """Members of the group may write there; they must not choose what root changes, or hang who reads."""
    path = tmp_path / "store"
    store(path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    for name in ("labels.jsonl", "fold.lock", "resets.lock"):
        (path / name).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        store(path).labels.admit("model", "m", 64)
    with pytest.raises(OSError, match="symbolic"):
        store(path).fold()
    with pytest.raises(StoreUnavailable):
        store(path).reset_budget("backend-engineer")
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("mine", 0o600)
    (path / "fold.lock").unlink()
    os.mkfifo(path / "live" / f"{os.urandom(16).hex()}.json")
    os.mkfifo(path / "resets.json")
    (path / "live" / f"{os.urandom(16).hex()}.json").symlink_to(victim)
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(store(path).read().unreadable + store(path).fold()), daemon=True
    )
    thread.start()
    thread.join(10)
    assert found == [2], "reading a store with a pipe in it hangs, or takes it for a snapshot"


def test_a_live_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "live").symlink_to(elsewhere)
    with pytest.raises(StoreUnavailable, match="not a directory"):
        Store(StateDirectory(tmp_path / "store")).directory.ensure()


def test_a_lock_on_a_removed_file_holds_nobody_off(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    order: list[str] = []
    with Folder(tmp_path) as folder, locked(folder, path.name) as held:
        assert held is not None
        waiting = threading.Thread(target=lambda: _hold_until(path, order))
        waiting.start()
        until("the other thread to wait for the lock", 60, lambda: _waits_for_lock(path) or None)
        path.unlink()
    waiting.join(5)
    assert order == ["held the file that is there"]


def _hold_until(path: Path, order: list[str]) -> None:
    with Folder(path.parent) as folder, locked(folder, path.name, 5) as descriptor:
        assert descriptor is not None
        same = os.fstat(descriptor).st_ino == path.stat().st_ino
        order.append("held the file that is there" if same else "held a file that is gone")


def _waits_for_lock(path: Path) -> bool:
    opened = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            opened += os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    return opened == 2


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777], ids=oct)
def test_modes_of_files_do_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "store"
    path.mkdir()
    path.chmod(0o2770)
    before = os.umask(mask)
    try:
        Process(path).tokens(1).publish().die()
        using = store(path)
        using.fold()
        using.labels.admit("model", "m", 64)
        using.reset_budget("backend-engineer")
        Process(path).tokens(1).publish()
    finally:
        os.umask(before)
    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(files) >= 6
    live = {file for file in files if file.parent.name == "live"}
    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in live} == {"0o640"}
    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in {*files} - live} == {"0o660"}
    assert stat.S_IMODE((path / "live").stat().st_mode) == 0o2770


def test_name_of_a_living_writer_is_taken(tmp_path: Path) -> None:
    """The file name of a dead process is free; that of a living one is not."""
    process = Process(tmp_path).tokens(1).publish()
    with Folder(tmp_path, "live") as live:
        assert not abandoned(live, process.file.name)
        process.die()
        assert abandoned(live, process.file.name)
        assert not abandoned(live, "nothing")


# Registers


def test_exactly_64_label_values_are_admitted(tmp_path: Path) -> None:
    """Of 100 processes with one new label value each, exactly 64 get it admitted."""
    store(tmp_path)
    gate, opened = os.pipe()
    children = []
    for number in range(100):
        child = os.fork()
        if child == 0:
            os.close(opened)
            os.read(gate, 1)  # all at once
            os._exit(_admit_in_the_end(tmp_path, f"model-{number}"))
        children.append(child)
    os.close(opened)
    os.close(gate)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert (codes.count(0), codes.count(1)) == (64, 36)
    assert len((tmp_path / "labels.jsonl").read_text().splitlines()) == 64
    assert store(tmp_path).labels.admit("stage", "another label", MAX_OTHERS)


def _admit_in_the_end(path: Path, value: str) -> int:
    """0 or 1; a hundred processes on a busy machine may miss the deadline of the lock, and try again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return 0 if store(path).labels.admit("model", value, MAX_OTHERS) else 1
        except TimeoutError:
            time.sleep(0.01)
        except BaseException:
            return 3
    return 2


def test_damaged_label_register_goes_on(tmp_path: Path) -> None:
    """A damaged register of labels continues with its readable lines."""
    register = tmp_path / "labels.jsonl"
    assert store(tmp_path).labels.admit("model", "a", 2)
    register.write_bytes(register.read_bytes() + b'\xff\xfe{"x":\n[["model"],["b"]]\n["model", "cut')
    labels = store(tmp_path).labels
    assert labels.admit("model", "b", 2)
    assert [labels.admit("model", value, 2) for value in ("a", "b", "c")] == [True, True, False]
    assert [store(tmp_path).labels.admit("model", value, 2) for value in ("a", "b", "c")] == [True, True, False]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"backend-engineer": "x"}', b'{"a": 1e999}', b"\xff"])
def test_damaged_reset_register_keeps_use(tmp_path: Path, damage: bytes) -> None:
    """A damaged register of resets loses resets but no token use."""
    resets = tmp_path / "resets.json"
    first = store(tmp_path).reset_budget("backend-engineer")
    assert store(tmp_path).resets.read() == {"backend-engineer": first}
    resets.write_bytes(damage)
    assert store(tmp_path).resets.read() == {}
    assert store(tmp_path).reset_budget("backend-engineer") >= first, "a later reset must not get an older number"


def test_two_resets_in_a_second_have_two_numbers(tmp_path: Path) -> None:
    using = store(tmp_path)
    assert len({using.reset_budget("backend-engineer") for _ in range(5)}) == 5


def test_unmakable_state_directory_says_what_to_do(tmp_path: Path) -> None:
    """The error for a state directory that cannot be created says what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"file/state cannot be used: .*HYPERTOOL_STATE_DIR"):
        Store(StateDirectory(tmp_path / "file" / "state")).directory.ensure()


def test_new_file_never_replaces_another(tmp_path: Path) -> None:
    """A new file is never opened over an existing one."""
    (tmp_path / "there").write_text("x")
    with Folder(tmp_path) as folder, pytest.raises(FileExistsError):
        folder.create("there", 0o600)


def test_appended_snapshot_counts_and_a_torn_one_not(tmp_path: Path) -> None:
    """The last complete line of a snapshot file counts; what a killed process has cut short behind it does not."""
    process = Process(tmp_path).tokens(10).publish()
    before = process.file.stat()
    process.tokens(5).publish()
    assert process.file.stat().st_ino == before.st_ino
    with process.file.open("ab") as file:
        file.write(b'{"v":1,"id":"' + process.writer.id.encode() + b'","c":[["tok",')
    assert total(tmp_path) == 15
    process.die()
    store(tmp_path).fold()
    assert total(tmp_path) == 15


def test_snapshot_file_is_replaced_when_it_has_grown(tmp_path: Path) -> None:
    """However many snapshots a process writes, its file stays below 64 KiB."""
    process, sizes = Process(tmp_path), set()
    for _ in range(400):
        process.tokens(1).publish()
        sizes.add(process.file.stat().st_size)
    assert max(sizes) <= 64 * 1024
    assert total(tmp_path) == 400


def test_writer_makes_a_new_file_when_its_own_is_gone(tmp_path: Path) -> None:
    """A snapshot never goes to a file that was removed: the writer makes a new one, and its directory if need be."""
    process = Process(tmp_path).tokens(10).publish()
    shutil.rmtree(tmp_path)
    process.tokens(5).publish()
    assert total(tmp_path) == 15
