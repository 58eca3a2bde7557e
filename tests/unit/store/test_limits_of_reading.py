"""What one user leaves in the store has limits for every reader, and does not keep others from being read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hypertool.store import archive, tidying, view
from tests.support.store_writers import Process, leave, make_served, store, total

TOKENS = ["tok", "backend-engineer", "default", "simulated"]


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return make_served(tmp_path)


def test_files_that_come_and_go_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who makes and removes files all the time keeps no reader from the others' numbers."""
    Process(tmp_path).tokens(10).publish()
    names = view._names

    def names_and_vanish(*arguments: Any) -> Any:
        short = leave(tmp_path)
        found = names(*arguments)
        short.unlink()
        return found

    monkeypatch.setattr(view, "_names", names_and_vanish)
    assert total(tmp_path) == 10


def test_files_beyond_a_users_bytes_are_not_read(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the limit costs neither time nor memory, and is counted as not usable."""
    files = [leave(served, c=[[*TOKENS, 1]]) for _ in range(10)]
    size = files[0].stat().st_size
    monkeypatch.setattr(view, "USER_BYTES", 4 * size + size // 2)
    read: list[str] = []
    read_snapshot = view.read_snapshot

    def note(live: Any, name: str, *more: Any) -> Any:
        read.append(name)
        return read_snapshot(live, name, *more)

    monkeypatch.setattr(view, "read_snapshot", note)
    reading = store(served)
    for _ in range(2):
        merge = reading.merge()
        assert (merge.writers, merge.unreadable) == (4, 6)
    assert len(read) == 4
    assert len(reading.view._parsed) == 4


def test_entries_of_one_user_are_limited(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan holds a limited number of one user's files; a fold makes room for the rest, and the sums are exact."""
    monkeypatch.setattr(view, "ENTRIES_OF_A_USER", 3)
    monkeypatch.setattr(archive, "ENTRIES_OF_A_USER", 3)
    for _ in range(7):
        leave(served, c=[[*TOKENS, 1]])
    merge = store(served).merge()
    assert (merge.writers, merge.unreadable) == (3, 4)
    assert [store(served).fold() for _ in range(4)] == [3, 3, 1, 0]
    assert total(served) == 7


def test_junk_in_live_is_removed(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Junk in `live` costs a reader its names only; the service removes it, and leaves what writers use."""
    for number in range(20):
        (served / "live" / f"junk-{number}.json").write_text("")
    (served / "live" / "folder").mkdir()
    kept = [served / "live" / f".{os.urandom(16).hex()}.{kind}" for kind in ("ready", "tmp")]
    for path in kept:
        path.write_text("")
    Process(served).tokens(10).publish()
    assert store(served).merge().unreadable == 20
    store(served).fold()
    assert store(served).merge().unreadable == 20, "what has just been made stays for a minute"
    monkeypatch.setattr(tidying, "GRACE_SECONDS", -1.0)
    store(served).fold()
    assert store(served).merge().unreadable == 0
    assert all(path.exists() for path in kept)
    assert total(served) == 10


def test_surplus_files_of_a_user_go(
    served: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No user can fill the folders: what is beyond the limits is removed, and logged once."""
    monkeypatch.setattr(tidying, "GRACE_SECONDS", -1.0)
    monkeypatch.setattr(tidying, "FILES_OF_A_USER", 5)
    for _ in range(8):
        leave(served)
    requests = served / "requests"
    for number in range(12):
        (requests / f"{os.geteuid()}-{number:016x}.json").write_text('{"resets": {"backend-engineer": 5}}')
    (requests / "junk").write_text("")
    (requests / f"{os.geteuid()}.lock").write_text("")
    assert store(served).resets.read() == {"backend-engineer": 5}
    assert store(served).fold() == 5
    assert sorted(path.name for path in requests.iterdir()) == [
        *(f"{os.geteuid()}-{number:016x}.json" for number in range(4)),
        f"{os.geteuid()}.lock",
    ]
    assert store(served).resets.read() == {"backend-engineer": 5}
    assert caplog.text.count("is removed, because") == 2


def test_folded_name_that_is_no_file_is_forgotten(served: Path) -> None:
    """A folder in the place of a folded file does not stay on the archive's list, which would grow without end."""
    file = leave(served, c=[[*TOKENS, 5]])
    folding = store(served)
    real = folding.archive._settle

    def replace_first(*arguments: Any) -> Any:
        if file.is_file() and file.stem in arguments[2].folded:
            file.unlink()
            file.mkdir()
        return real(*arguments)

    folding.archive._settle = replace_first  # type: ignore[method-assign]
    assert folding.fold() == 1
    Process(served).tokens(5).publish().die()
    assert folding.fold() == 1
    assert file.stem not in folding.archive.load().folded
    assert total(served) == 10
