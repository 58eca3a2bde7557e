"""`hypertool run` ends its own command, and no other, when a budget that blocks is spent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.agents import running
from hypertool.agents.holding import HELD, Held
from hypertool.agents.ledger import location
from hypertool.agents.ledger.attribution import Attribution
from tests.agents.conftest import Limit
from tests.agents.hooking import HYPERTOOL, spend
from tests.agents.ledgers import open_ledger
from tests.agents.test_run_sessions import COMMANDS, STARTED, places, write

WHOSE = Attribution("backend-engineer")
SLEEP = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(2, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]
__all__ = ["places"]


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not heed SIGINT."""
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def check(agent: str, home: Path, process: subprocess.Popen[bytes]) -> Held:
    """What a run does that has just counted."""
    held = Held(agent, [COMMANDS[agent]], STARTED, WHOSE)
    held.begin(process.pid)
    running.take_in([COMMANDS[agent]], STARTED, WHOSE, os.environ)
    held.check(open_ledger(), [str(path) for path in home.rglob("*") if path.suffix in (".jsonl", ".db")])
    return held


@pytest.mark.parametrize("agent", [agent for agent in HELD if agent not in ("auggie", "aider")])
def test_run_ends_its_own_command(
    agent: str,
    home: Path,
    places: tuple[Path, Path],
    limit: Limit,
    stubborn: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not for a session of another folder; for its own, and with SIGTERM where SIGINT does nothing."""
    monkeypatch.setattr("hypertool.agents.holding._GRACE_SECONDS", 0.2)
    limit(1000)
    mine, other = places
    write(agent, home, "theirs", other, STARTED)
    assert check(agent, home, stubborn).why == ""
    assert stubborn.poll() is None
    write(agent, home, "ours", mine, STARTED)
    assert "the token budget of backend-engineer is 1000 a run" in check(agent, home, stubborn).why
    assert stubborn.wait(30) == -signal.SIGTERM


def test_run_ends_nothing_that_may_go_on(
    home: Path, places: tuple[Path, Path], limit: Limit, stubborn: subprocess.Popen[bytes]
) -> None:
    """Neither an agent that its hooks stop, nor one with tokens left."""
    limit(1000)
    write("claude-code", home, "a", places[0], STARTED)
    assert check("claude-code", home, stubborn).why == ""
    limit(10**6)
    write("codex", home, "a", places[0], STARTED)
    assert check("codex", home, stubborn).why == ""
    assert stubborn.poll() is None


def test_run_with_nothing_left_today(home: Path, limit: Limit) -> None:
    """A budget of the day that is used up before: the command is ended before it has a session."""
    limit(100, "day")
    spend("backend-engineer", 100)
    program = home / "codex"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    command = [str(HYPERTOOL), "run", "--persona", "backend-engineer", "--", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert "codex was ended. Hypertool: the token budget of backend-engineer is 100 a day" in done.stderr


@pytest.mark.parametrize("name", ["codex", "another"])
def test_run_without_a_ledger_says_so_once(name: str, home: Path) -> None:
    """The command runs and its exit code is kept; what cannot be counted or held is one line."""
    program = home / name
    program.write_text("#!/bin/sh\nsleep 1.5\nexit 3\n")
    program.chmod(0o755)
    location.directory().parent.mkdir(parents=True, exist_ok=True)
    location.directory().touch()
    command = [HYPERTOOL, "run", "--", program]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
