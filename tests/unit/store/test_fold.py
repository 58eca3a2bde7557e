"""Folding is exactly-once: through a crash at any instruction, through corruption, under concurrent readers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypertool.store.archive import Archive
from hypertool.store.directory import StateDirectory
from tests.support.store_writers import BACKEND, Process, store, total

CALLS = ("open", "write", "utime", "fsync", "link", "rename", "unlink", "close")
# 3 processes folded before, 4 finished ones, 1 that lives.
SUM = 3 * 1000 + 4 * 100 + 7


def _populated(path: Path) -> Process:
    """A store in the middle of its life; returns the living process."""
    for _ in range(3):
        Process(path).tokens(1000).stage(1).publish().die()
    store(path).fold()
    for _ in range(4):
        Process(path).tokens(100).stage(1).publish().die()
    return Process(path).tokens(7).publish()


def _fold_and_die(path: Path, at: int) -> bool:
    """Fold in a child that is gone before its `at`-th system call; False if it got through."""
    child = os.fork()
    if child == 0:
        left = at

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(7)
                return call(*args, **options)

            return wrapper

        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            Archive(StateDirectory(path)).fold(time.time())
        except BaseException:
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 7), f"the folding child ended with {code}"
    return code == 7


def test_crash_anywhere_in_a_fold_is_exact(tmp_path: Path) -> None:
    """A crash at any system call of a fold loses nothing and counts nothing twice."""
    for at in range(1, 500):
        path = tmp_path / str(at)
        living = _populated(path)
        crashed = _fold_and_die(path, at)
        where = f"crash at call {at}"
        assert total(path) == SUM, where
        again = store(path)
        again.fold()
        assert total(path) == SUM, where
        Process(path).tokens(50).publish().die()
        again.fold()
        again.fold()
        living.die()
        again.fold()
        assert total(path) == SUM + 50, where
        state = store(path).merge()
        assert state.totals.counters["fol",] == 9, where
        assert sum(state.totals.histograms["st", "package_release", "version_bump", "backend-engineer"][:-1]) == 7
        assert not list((path / "live").iterdir()), where
        if not crashed:
            assert at > 20, f"only {at} calls were tried: is the patch still in the way of the fold?"
            return
    pytest.fail("the fold makes more than 500 system calls")


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "flipped"])
def test_corrupt_archive_after_a_crash(tmp_path: Path, damage: bytes | None) -> None:
    """After a crash anywhere, a corrupt archive is kept aside and nothing is lost."""
    for at in (*range(20, 60, 3), 10**6):  # the newest generation is there, in each of its states
        path = tmp_path / str(at)
        _populated(path)
        _fold_and_die(path, at)
        archive = path / "archive.json"
        whole = archive.read_bytes()
        broken = damage if damage is not None else whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
        archive.unlink()
        archive.write_bytes(broken)
        assert total(path) == SUM, f"read, crash at call {at}"
        store(path).fold()
        assert total(path) == SUM, f"folded, crash at call {at}"
        kept = list(path.glob("archive.corrupt-*.json"))
        assert [file.read_bytes() for file in kept] == [broken]


def test_two_corrupt_generations_are_both_kept(tmp_path: Path) -> None:
    """If both generations are corrupt, both are kept aside."""
    living = _populated(tmp_path)
    store(tmp_path).fold()
    for name in ("archive.json", "archive.prev.json"):
        (tmp_path / name).write_bytes(b"nonsense")
    living.die()
    assert store(tmp_path).fold() == 1
    assert total(tmp_path) == 7
    assert len(list(tmp_path.glob("*corrupt-*"))) == 2


def test_lost_archive_uses_the_previous_one(tmp_path: Path) -> None:
    """If the archive is missing, the generation before it is used."""
    _populated(tmp_path)
    store(tmp_path).fold()
    (tmp_path / "archive.json").unlink()
    assert total(tmp_path) == SUM
    store(tmp_path).fold()
    assert (tmp_path / "archive.json").exists()
    assert total(tmp_path) == SUM


def test_counters_never_decrease(tmp_path: Path) -> None:
    """A reader in a loop, two folders, and writers that write, die and are replaced."""
    store(tmp_path)
    stop = threading.Event()
    failures: list[str] = []
    published = 0

    def read() -> None:
        view, last = store(tmp_path), 0
        while not stop.is_set():
            now = view.merge().totals.counters.get(("tok", *BACKEND), 0)
            if now < last:
                failures.append(f"{last} -> {now}")
            last = now

    def fold() -> None:
        folding = store(tmp_path)
        while not stop.is_set():
            folding.fold()

    threads = [threading.Thread(target=target) for target in (read, fold, fold)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        process = Process(tmp_path)
        for _ in range(3):
            process.tokens(1).publish()
            published += 1
        process.die()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert total(tmp_path) == published > 100


def test_replacing_writer_counts_as_alive(tmp_path: Path) -> None:
    """A writer that is replacing its snapshot is never taken for dead."""
    process = Process(tmp_path).tokens(1).publish()
    stop = threading.Event()
    folded = 0

    def fold() -> None:
        nonlocal folded
        while not stop.is_set():
            folded += store(tmp_path).fold()

    thread = threading.Thread(target=fold)
    thread.start()
    for _ in range(500):
        process.tokens(1).publish()
    stop.set()
    thread.join()
    assert folded == 0
    assert total(tmp_path) == 501


def test_unremovable_snapshot_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folded snapshot that cannot be removed is not counted again."""
    living = _populated(tmp_path)
    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if str(path).endswith(".json") and "live" in str(path):
            raise PermissionError(1, "Operation not permitted")
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    folding = store(tmp_path)
    for _ in range(3):
        folding.fold()
        assert total(tmp_path) == SUM
    Process(tmp_path).tokens(5).publish().die()
    folding.fold()
    monkeypatch.undo()
    living.die()
    folding.fold()
    assert total(tmp_path) == SUM + 5
    assert not list((tmp_path / "live").iterdir())


def test_archive_of_another_version_is_kept(tmp_path: Path) -> None:
    """An archive of another version is an error: neither read as empty nor replaced."""
    import json
    import zlib

    from hypertool.errors import StoreUnavailable

    _populated(tmp_path)
    archive = tmp_path / "archive.json"
    document = json.loads(archive.read_bytes().partition(b"\n")[2]) | {"v": 2}
    payload = json.dumps(document).encode()
    archive.write_bytes(b"%08x\n" % zlib.crc32(payload) + payload)
    for use in (lambda: store(tmp_path).read(), lambda: store(tmp_path).fold()):
        with pytest.raises(StoreUnavailable, match="another version"):
            use()
    assert archive.read_bytes().endswith(payload)


@pytest.mark.parametrize("removed", [True, False], ids=["files removed", "files still there"])
def test_read_sees_a_fold_whole_or_not_at_all(tmp_path: Path, removed: bool) -> None:
    """A read during a fold sees the whole fold or nothing of it."""
    _populated(tmp_path)
    reading = store(tmp_path)
    load = reading.archive.load
    folded = []

    def load_and_be_overtaken() -> Any:
        generation = load()
        if not folded:
            folded.append(True)
            if removed:
                store(tmp_path).fold()
            else:
                _fold_and_die(tmp_path, 30)
        return generation

    reading.archive.load = load_and_be_overtaken  # type: ignore[method-assign]
    assert sum(reading.read().tokens.values()) == SUM
    assert folded
