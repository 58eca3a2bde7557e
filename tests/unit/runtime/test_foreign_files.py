"""Files that other users may write: no link followed, no pipe waited for, no lock waited for without end."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypertool.runtime.foreign_files import Folder, locked
from hypertool.service.alert_log import AlertFile
from hypertool.store.sessions import SavedSession, Sessions
from tests.support.hypertool_host import Host

KINDS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, victim: path.symlink_to(victim),
    "link to a folder": lambda path, victim: path.symlink_to(victim.parent),
    "dangling link": lambda path, victim: path.symlink_to(victim.with_name("nothing")),
    "pipe": lambda path, victim: os.mkfifo(path),
    "folder": lambda path, victim: path.mkdir(),
    "device": lambda path, victim: path.symlink_to("/dev/zero"),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """What nobody may change."""
    file = tmp_path / "elsewhere" / "victim"
    file.parent.mkdir()
    file.write_text("mine")
    return file


@every_kind
def test_odd_file_is_an_error_at_once(tmp_path: Path, victim: Path, kind: Callable[[Path, Path], object]) -> None:
    """Reading, writing and locking what is no regular file raises OSError, and touches nothing behind it."""
    kind(tmp_path / "x", victim)
    with Folder(tmp_path) as folder:
        for call in (
            lambda: folder.read("x", 100),
            lambda: folder.create("x", 0o600),
            lambda: folder.create("x", 0o600, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            lambda: folder.create("x", 0o600, os.O_RDWR | os.O_CREAT),
            lambda: locked(folder, "x").__enter__(),
        ):
            with pytest.raises(OSError, match=r".+"):
                call()
    assert victim.read_text() == "mine"
    assert [file.name for file in victim.parent.iterdir()] == ["victim"]


@every_kind
@pytest.mark.shared_host("S14")
def test_alert_file_waits_for_nothing(tmp_path: Path, victim: Path, kind: Callable[[Path, Path], object]) -> None:
    """Whatever is in the place of `alerts.jsonl`, the receiver says at once that it cannot write."""
    kind(tmp_path / "alerts.jsonl", victim)
    with pytest.raises(OSError, match=r".+"):
        AlertFile(tmp_path / "alerts.jsonl").append("line")
    assert victim.read_text() == "mine"


@pytest.mark.shared_host("S29")
def test_sessions_folder_of_another_user_is_refused(tmp_path: Path, victim: Path) -> None:
    """A folder that another member made, or a link, is no place for sessions; the error names it."""
    sessions = tmp_path / "sessions-0"
    sessions.symlink_to(victim.parent)
    with pytest.raises(Exception, match="sessions-0"), Sessions(tmp_path, sessions).held():
        pass
    sessions.unlink()
    sessions.mkdir()
    if os.geteuid() != 0:
        return
    os.chown(sessions, 61001, -1)
    with pytest.raises(Exception, match="belongs to user 61001"), Sessions(tmp_path, sessions).held():
        pass


def test_sessions_folder_open_to_others_is_closed(tmp_path: Path) -> None:
    """This user's own folder is taken back from those who may write it."""
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    sessions.chmod(0o777)
    mine = Sessions(tmp_path, sessions)
    with mine.held(), mine.replaced_by(SavedSession("backend-engineer", "default", 1.0)):
        pass
    assert sessions.stat().st_mode & 0o777 == 0o700
    assert mine.read() == SavedSession("backend-engineer", "default", 1.0)


@pytest.mark.shared_host("S5")
def test_held_lock_costs_one_wait(tmp_path: Path) -> None:
    """The first to meet a held lock waits for its deadline, the next ones do not; when it is free it is had again."""
    with Folder(tmp_path) as folder:
        holder = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
        fcntl.flock(holder, fcntl.LOCK_EX)
        began = time.monotonic()
        with locked(folder, "x", 0.3) as held:
            assert held is None
        assert 0.25 < time.monotonic() - began < 2
        began = time.monotonic()
        for _ in range(20):
            with locked(folder, "x", 0.3) as held:
                assert held is None
        assert time.monotonic() - began < 0.3
        os.close(holder)
        with locked(folder, "x", 0.3) as held:
            assert held is not None


def test_forked_child_keeps_no_lock_of_its_parent(tmp_path: Path) -> None:
    """A fork while another thread holds a lock: the child lives on, and the lock is free once the thread lets go."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with Folder(tmp_path) as folder, locked(folder, "x"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(5)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writable)
        os.read(readable, 1)  # until the parent has looked
        os._exit(0)
    os.close(readable)
    leave.set()
    thread.join()
    with Folder(tmp_path) as folder, locked(folder, "x", 2.0) as held:
        assert held is not None, "the child holds the parent's lock"
    os.close(writable)
    os.waitpid(child, 0)


FORKS = """
import os, threading, time
from hypertool import get_persona_metrics
metrics = get_persona_metrics()
def record(thread):
    for number in range(25):
        metrics.record_token_usage("backend", f"mode-{thread}-{number}", f"model-{thread}-{number}", 1)
threads = [threading.Thread(target=record, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
children = []
while any(thread.is_alive() for thread in threads):
    if len(children) < 20:
        child = os.fork()
        if child == 0:
            record(9)
            metrics.flush()
            os._exit(0)
        children.append(child)
    time.sleep(0.001)
began = time.monotonic()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
metrics.flush()
print(len(children))
"""


@pytest.mark.shared_host("S5")
def test_new_labels_and_forks_do_not_deadlock(host: Host) -> None:
    """Threads that record new labels while the process forks: all of them end, and every token is counted."""
    done = host.python(FORKS, seconds=60)
    assert done.returncode == 0, done.stderr
    assert sum(host.store.read().tokens.values()) == 100 + 25 * int(done.stdout)
