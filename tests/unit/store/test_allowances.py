"""What one user may bring into the sums of a host: label sets, sessions of agents, windows of budgets, and room."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from hypertool.store import allowances, archive, view
from tests.support.store_writers import Process, leave, make_served, store, total

P = "backend-engineer"
HOUR = 3600


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return make_served(tmp_path)


def sessions(how_many: int, name: str = "s", budgets: int = 0, at: float | None = None) -> list[Any]:
    """Sessions of an agent, each a second after the one before."""
    began = time.time() - 100 if at is None else at
    left = [[P, 1, reset] for reset in range(budgets)]
    return [["claude-code", f"{name}{number}", began + number, False, left] for number in range(how_many)]


def test_sessions_of_a_user_are_limited(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones stay, folded or not, and a session that has gone makes room."""
    monkeypatch.setattr(allowances, "MAX_SESSION_ROWS", 5)
    kept = {("claude-code", f"s{number}") for number in range(3, 8)}
    folding = store(served)
    leave(served, g=sessions(8))
    assert set(folding.merge().totals.agent_sessions) == kept
    assert folding.fold() == 1
    leave(served, g=sessions(8, "other"))
    assert set(folding.merge().totals.agent_sessions) == kept
    assert folding.fold() == 1
    assert set(folding.merge().totals.agent_sessions) == kept
    leave(served, g=sessions(5, budgets=200, at=time.time()))
    assert all(not session.left for session in folding.merge().totals.agent_sessions.values()), "nor do they grow"
    for file in (served / "live").iterdir():
        file.unlink()
    leave(served, c=[["tok", P, "default", "m", 1]])
    assert folding.archive.fold(time.time() + 2 * HOUR) == 1
    leave(served, g=sessions(2, "new"))
    assert len(folding.merge().totals.agent_sessions) == 2


def test_session_of_the_future_ends_with_its_file(served: Path) -> None:
    """A session that claims activity in the future is as old as the file that says so."""
    leave(served, t=time.time() - 2 * HOUR, g=sessions(1, at=1e11))
    (session,) = store(served).merge().totals.agent_sessions.values()
    assert session.seen < time.time() - HOUR
    store(served).fold()
    assert not store(served).merge().totals.agent_sessions


def test_window_begins_with_an_hour(served: Path) -> None:
    """A window that begins at any second is no window, so that a user cannot make thousands of them."""
    start = int(time.time()) // HOUR * HOUR
    leave(served, w=[[P, start + 1, 0, 5]])
    leave(served, w=[[P, start, 0, 5]])
    merge = store(served).merge()
    assert (merge.totals.windows, merge.unreadable) == ({(P, start, 0): 5}, 1)


def test_windows_of_a_user_are_limited(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest windows of a persona stay, and use in a window that is there always counts."""
    monkeypatch.setattr(allowances, "MAX_WINDOWS_OF_A_PERSONA", 3)
    start = int(time.time()) // HOUR * HOUR
    folding = store(served)
    for _ in range(2):
        leave(served, w=[[P, start - HOUR, reset, 5] for reset in range(9)] + [[P, start, 0, 5]])
        assert folding.fold() == 1
    kept = {(P, start, 0): 10, (P, start - HOUR, 8): 10, (P, start - HOUR, 7): 10}
    leave(served, w=[[P, start - 2 * HOUR, 0, 5]])
    assert folding.merge().totals.windows == kept


def test_latest_rows_count_as_label_sets(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that keep the newest value use up the user's label sets like any other."""
    for place in (view, archive):
        monkeypatch.setattr(place, "MAX_SETS", 4)
    folding = store(served)
    for name in ("a", "b", "c"):
        leave(served, m=[["xlast", f"{name}{number}", 1] for number in range(3)])
        assert len(folding.merge().totals.latest) <= 5
        folding.fold()
    assert dict(folding.archive.load().sets) == {str(os.geteuid()): 4}


def test_fold_ends_where_the_archive_is_full(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold takes what the archive has room for; the rest waits and counts, and no fold fails."""
    folding = store(served)
    for number in range(10):
        leave(served, c=[["tok", P, "default", f"m{number}", 1]])
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    first = folding.fold()
    assert 0 < first < 10
    assert total(served) == 10
    for _ in range(10):
        folding.fold()
    assert total(served) == 10
    monkeypatch.undo()
    Process(served).tokens(1).publish().die()
    folding.fold()
    assert total(served) == 11
    assert not list((served / "live").iterdir())
