"""The current persona of a user in a workspace: kept across processes, safe from each other and from damage."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from hypertool.errors import HypertoolError
from hypertool.runtime.workspace import find_workspace, workspace_name
from hypertool.store.sessions import SavedSession, Sessions, directory

SESSION = SavedSession("backend-engineer", "bug-fix", 1_700_000_000.0)


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "work", tmp_path / "sessions")


def put(sessions: Sessions, session: SavedSession | None) -> None:
    with sessions.held(), sessions.replaced_by(session):
        pass


def file_of(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "sessions").glob("*.json")
    return found


def test_session_is_read_by_another_process(tmp_path: Path, sessions: Sessions) -> None:
    """One process reads what another saved; without a session there is None."""
    assert sessions.read() is None
    put(sessions, SESSION)
    assert Sessions(tmp_path / "work", tmp_path / "sessions").read() == SESSION
    assert Sessions(tmp_path / "other", tmp_path / "sessions").read() is None
    put(sessions, None)
    assert sessions.read() is None


def test_files_are_the_users_own(tmp_path: Path, sessions: Sessions) -> None:
    put(sessions, SESSION)
    assert stat.S_IMODE((tmp_path / "sessions").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"persona": 3, "chatmode": "x", "since": 1}',
        b'{"persona": "backend-engineer", "chatmode": "x", "since": NaN}',
        b'{"persona": "backend-engineer", "chatmode": "x", "since": -5}',
    ],
)
def test_unreadable_file_is_kept_aside(tmp_path: Path, sessions: Sessions, damage: bytes) -> None:
    """A file that cannot be parsed is kept aside, with one log line."""
    put(sessions, SESSION)
    file_of(tmp_path).write_bytes(damage)
    again = Sessions(tmp_path / "work", tmp_path / "sessions")
    assert again.read() is None
    assert again.note is not None
    assert "kept as" in again.note
    (aside,) = (tmp_path / "sessions").glob("*.corrupt")
    assert aside.read_bytes() == damage
    later = Sessions(tmp_path / "work", tmp_path / "sessions")
    assert later.read() is None
    assert later.note is None


def test_failed_block_leaves_the_session(tmp_path: Path, sessions: Sessions) -> None:
    """If the block fails, the session stays as it was."""
    put(sessions, SESSION)
    with pytest.raises(RuntimeError), sessions.held(), sessions.replaced_by(SESSION._replace(persona="other")):
        raise RuntimeError
    assert sessions.read() == SESSION
    assert sorted(path.suffix for path in (tmp_path / "sessions").iterdir()) == [".json", ".lock"]


def test_changes_wait_for_each_other(tmp_path: Path) -> None:
    def count() -> None:
        mine = Sessions(tmp_path / "work", tmp_path / "sessions")
        for _ in range(25):
            with mine.held():
                now = mine.read_held()
                with mine.replaced_by(SESSION._replace(since=(now.since if now else 0.0) + 1)):
                    pass

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Sessions(tmp_path / "work", tmp_path / "sessions").read()
    assert found is not None
    assert found.since == 100


def test_unmakable_directory_is_one_line(tmp_path: Path) -> None:
    """A directory that cannot be created is one clear line of error."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(HypertoolError, match="XDG_STATE_HOME") as error,
        Sessions(tmp_path, tmp_path / "file" / "sessions").held(),
    ):
        pass
    assert "\n" not in str(error.value)


def test_backward_clock_gives_no_negative_time() -> None:
    """A clock that was set back gives no negative time."""
    assert SESSION.seconds(SESSION.since - 100) == 0
    assert SESSION.seconds(SESSION.since + 2.5) == 2.5


def test_odd_names_of_workspaces_are_as_good_as_others(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(b"/a/\xff\n'\""))
    sessions = Sessions(odd, tmp_path / "sessions")
    put(sessions, SESSION)
    assert sessions.read() == SESSION
    json.loads(file_of(tmp_path).read_bytes().decode("utf-8", "surrogateescape"))


def test_sessions_are_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are in the user's own directory unless a state directory is set."""
    monkeypatch.delenv("HYPERTOOL_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directory() == tmp_path / ".local/state/hypertool/sessions"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert directory() == tmp_path / "xdg/hypertool/sessions"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert directory() == tmp_path / ".local/state/hypertool/sessions"
    monkeypatch.setenv("HYPERTOOL_STATE_DIR", str(tmp_path / "state"))
    assert directory() == tmp_path / "state" / f"sessions-{os.getuid()}"


def test_workspace_is_repository_or_directory(tmp_path: Path) -> None:
    """The workspace is the enclosing repository, else the directory."""
    inner = tmp_path / "repo" / "a" / "b"
    inner.mkdir(parents=True)
    assert find_workspace(inner) == inner
    (tmp_path / "repo" / ".git").mkdir()
    assert find_workspace(inner) == tmp_path / "repo"
    assert workspace_name(inner) == "repo"
    (tmp_path / "repo" / "a" / ".git").write_text("gitdir: elsewhere")
    assert workspace_name(inner) == "a", "a worktree or a submodule is one of its own"
    (tmp_path / "link").symlink_to(inner)
    assert find_workspace(tmp_path / "link") == tmp_path / "repo" / "a"
    assert workspace_name(Path("/")) == "/"
