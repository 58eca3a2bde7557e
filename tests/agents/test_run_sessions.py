"""Which sessions `hypertool run` binds when no hook tells: those that its command began, in its own directory."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents import running, runs
from hypertool.agents.ledger.attribution import Attribution
from hypertool.domain.instruments import AGENT_CALLS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents import homes
from tests.agents.ledgers import counted, open_ledger

STARTED = 1795659000.0
"""When the runs of these tests start; the recorded sessions are moved to times around it."""


def iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))


def usage(**more: Any) -> dict[str, Any]:
    return {"input_tokens": 1000, "output_tokens": 200, **more}


def lines(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write(agent: str, home: Path, name: str, where: Path, began: float) -> None:
    """A session of an agent that began there and then, with one call a second after the runs' start."""
    at = max(began, STARTED) + 1
    if agent == "claude-code":
        head = {"sessionId": name, "cwd": str(where), "version": "2.1.332"}
        message = {"id": f"msg_{name}", "model": "m", "usage": usage()}
        lines(home / f".claude/projects/-p-{name}/{name}.jsonl",
              {**head, "type": "user", "timestamp": iso(began)},
              {**head, "type": "assistant", "timestamp": iso(at), "message": message})  # fmt: skip
    elif agent == "codex":
        lines(home / f".codex/sessions/2026/11/26/rollout-{name}.jsonl",
              {"type": "session_meta", "timestamp": iso(began), "payload": {"id": name, "cwd": str(where)}},
              {"type": "token_usage_record", "timestamp": iso(at),
               "payload": {"response_id": f"resp_{name}", "usage": usage()}})  # fmt: skip
    elif agent == "copilot-cli":
        use = {"apiCallId": f"call_{name}", "inputTokens": 1000, "outputTokens": 200}
        lines(home / f".copilot/session-state/{name}/events.jsonl",
              {"type": "session.start", "timestamp": iso(began),
               "data": {"sessionId": name, "context": {"cwd": str(where)}}},
              {"type": "session.usage_record", "timestamp": iso(at), "data": {"usage": use}})  # fmt: skip
    elif agent == "gemini-cli":
        project = home / f".gemini/tmp/{name}"
        tokens = {"input": 1000, "output": 200, "total": 1200}
        lines(project / f"chats/session-{name}.jsonl",
              {"sessionId": name, "projectHash": "x", "startTime": iso(began), "kind": "main"},
              {"id": f"g-{name}", "type": "gemini", "timestamp": iso(at), "tokens": tokens})  # fmt: skip
        (project / ".project_root").write_text(str(where))
    elif agent == "cline":
        folder = home / f".cline/data/sessions/{name}"
        message = {"id": f"c-{name}", "role": "assistant", "ts": at * 1000,
                   "metrics": {"inputTokens": 1000, "outputTokens": 200}}  # fmt: skip
        lines(folder / f"{name}.json", {"session_id": name, "cwd": str(where), "started_at": iso(began)})
        lines(folder / f"{name}.messages.json", {"sessionId": name, "messages": [message]})
    elif agent == "qwen-code":
        record = homes.qwen_record(1)
        record.update(sessionId=name, cwd=str(where), timestamp=iso(at))
        record["systemPayload"]["uiEvent"]["response_id"] = f"q-{name}"
        first = {"type": "user", "sessionId": name, "cwd": str(where), "timestamp": iso(began)}
        lines(home / f".qwen/projects/-p-{name}/chats/{name}.jsonl", first, record)
    else:
        path = homes.opencode_database(home, {})
        with sqlite3.connect(path) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(session)")}
            for column in {"directory", "time_created"} - columns:
                connection.execute(f"ALTER TABLE session ADD COLUMN {column}")
            connection.execute(
                "INSERT INTO session (id, version, directory, time_created) VALUES (?, '1', ?, ?)",
                (name, str(where), int(began * 1000)),
            )
            data = homes.opencode_message(1, time={"created": at * 1000, "completed": at * 1000})
            connection.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?)",
                (f"m-{name}", name, at * 1000, at * 1000, json.dumps(data)),
            )
        connection.close()


AGENTS = ("claude-code", "codex", "copilot-cli", "gemini-cli", "cline", "qwen-code", "opencode")
COMMANDS = {agent: command for command, agent in running.COMMANDS.items()}


@pytest.fixture
def places(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two workspaces; the runs of the tests are in the first one."""
    mine, other = home / "mine", home / "other"
    for place in (mine, other):
        (place / "below").mkdir(parents=True)
    monkeypatch.chdir(mine)
    return mine, other


def run(agent: str, persona: str, *words: str) -> None:
    """What a run that started at STARTED counts."""
    running.take_in([COMMANDS[agent], *words], STARTED, Attribution(persona), os.environ)


def of(agent: str, persona: str) -> int:
    return counted(AGENT_CALLS.key, agent, persona)


@pytest.mark.parametrize("agent", AGENTS)
def test_run_leaves_other_folders_sessions(agent: str, home: Path, places: tuple[Path, Path]) -> None:
    """A session of another folder is nobody's, whatever runs here; one of this folder, or below it, is the run's."""
    mine, other = places
    write(agent, home, "a", mine, STARTED)
    write(agent, home, "b", mine / "below", STARTED + 1)
    write(agent, home, "c", other, STARTED)
    run(agent, "testing-specialist")
    assert (of(agent, "testing-specialist"), of(agent, "unknown")) == (2, 1)


@pytest.mark.parametrize("agent", AGENTS)
def test_run_leaves_older_sessions(agent: str, home: Path, places: tuple[Path, Path]) -> None:
    """A session here that goes on beside the run is not its own, unless its command resumes one."""
    write(agent, home, "a", places[0], STARTED - 100)
    run(agent, "testing-specialist")
    assert (of(agent, "testing-specialist"), of(agent, "unknown")) == (0, 1)
    write(agent, home, "d", places[0], STARTED - 100)
    run(agent, "testing-specialist", "--continue")
    assert of(agent, "testing-specialist") == 1


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("first", ["the other run", "the service"])
def test_two_runs_at_once_do_not_mix(
    first: str, agent: str, home: Path, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one agent in two folders: each has its own session, whoever reads it first."""
    mine, other = places
    monkeypatch.chdir(other)
    with running.counting([COMMANDS[agent]], STARTED, Attribution("devops-engineer"), {**os.environ, "HOME": "/"}):
        monkeypatch.chdir(mine)
        write(agent, home, "a", mine, STARTED)
        write(agent, home, "b", other, STARTED)
        if first == "the service":
            _write_notes(mine)
            AgentSessions(str(home), {}).round()
        else:
            run(agent, "testing-specialist")
    counts = [of(agent, name) for name in ("testing-specialist", "devops-engineer")]
    assert counts == [1, 1]


def _write_notes(mine: Path) -> None:
    """A second run of this process, which is in that folder."""
    ledger = open_ledger()
    with ledger.writing():
        runs.note(ledger, "", ["x"], STARTED, str(mine), Attribution("testing-specialist"))


def test_end_of_a_run_is_its_notes_end(home: Path, places: tuple[Path, Path]) -> None:
    """A session that begins in the folder of a run that has ended is not bound to it; the note is gone."""
    with running.counting(["claude"], STARTED, Attribution("devops-engineer"), os.environ):
        ledger = open_ledger()
        assert ledger.connection.execute("SELECT count(*) FROM bindings").fetchone() == (1,)
    assert ledger.connection.execute("SELECT count(*) FROM bindings").fetchone() == (0,)
    write("claude-code", home, "a", places[0], STARTED)
    AgentSessions(str(home), {}).round()
    assert of("claude-code", "unknown") == 1
