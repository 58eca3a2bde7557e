"""Whose a call of a sub-agent of Gemini CLI is: its file has no name, so the task that it was given tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents.ledger import location
from hypertool.domain.instruments import AGENT_CALLS
from tests.agents import homes
from tests.agents.hooking import call_hook, event
from tests.agents.ledgers import counted, open_ledger, take_in

AGENT, NAME, OTHER = "gemini-cli", "testing-specialist", "devops-engineer"
TASK = "Check the sign-in page, please"


class Session:
    """The recorded session of a home, which starts sub-agents."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.chat = homes.install(home, AGENT)[0]
        self.given = event(AGENT, home, "BeforeAgent")
        self.id = self.given["session_id"]
        self.calls = self.chat.read_text()

    def asks(self, name: Any, prompt: Any) -> None:
        """The hook before the tool that starts a sub-agent."""
        tool = {"tool_name": "invoke_agent", "tool_input": {"agent_name": name, "prompt": prompt}}
        assert call_hook(AGENT, "BeforeTool", {**self.given, **tool}).returncode == 0

    def starts(self, number: int, content: Any) -> None:
        """The sub-agent's chat: what it was asked to do, and then three calls."""
        own = self.chat.parent / self.id / f"1be39798-5aec-4d16-82ff-2c04a1bda2d{number}.jsonl"
        own.parent.mkdir(exist_ok=True)
        first, *rest = self.calls.replace(self.id, own.stem).replace('"id": "', f'"id": "{number}').splitlines()
        asked = json.dumps({"id": f"u{number}", "type": "user", "content": content}, separators=(",", ":"))
        own.write_text("\n".join([first, asked, *rest]) + "\n")

    def read(self) -> int:
        """Read everything as the service does; returns the number of calls."""
        return take_in(open_ledger(), AGENT, self.home)


@pytest.fixture
def session(home: Path) -> Session:
    return Session(home)


@pytest.mark.parametrize("content", [TASK, [{"text": TASK}], [TASK], f"  {TASK}\n", [{"text": TASK[:9]}, TASK[9:]]])
def test_task_tells_whose_a_call_is(content: Any, session: Session) -> None:
    """The sub-agent's calls are those of the persona that it is called; the main agent's are its session's."""
    session.asks(NAME, TASK)  # This hook counts the main agent's.
    session.starts(1, content)
    assert session.read() == 3
    assert counted(AGENT_CALLS.key, AGENT, NAME) == 3
    assert counted(AGENT_CALLS.key, AGENT) == 6


@pytest.mark.parametrize("second", [NAME, OTHER])
def test_one_task_for_two_names_tells_neither(second: str, session: Session) -> None:
    """Two at once with the same task: theirs if they have one name, else their session's."""
    session.asks(NAME, TASK)
    session.asks(second, TASK)
    session.starts(1, TASK)
    session.starts(2, TASK)
    session.read()
    assert bool(counted(AGENT_CALLS.key, AGENT, NAME)) == (second == NAME)
    assert counted(AGENT_CALLS.key, AGENT, OTHER) == 0


def test_a_known_subagent_stays_who_it_is(session: Session) -> None:
    """A later sub-agent of another name with the same task takes nothing from the first one."""
    session.asks(NAME, TASK)
    session.starts(1, TASK)
    session.read()
    before = counted(AGENT_CALLS.key, AGENT, NAME)
    session.asks(OTHER, TASK)
    path = next((session.chat.parent / session.id).iterdir())
    path.write_text(path.read_text() + path.read_text().splitlines()[-1].replace('"id": "1', '"id": "later') + "\n")
    assert session.read() == 1
    assert counted(AGENT_CALLS.key, AGENT, NAME) == before + 1


def test_subagent_is_held_to_its_budget(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next call is refused when its own persona has nothing left; the main agent goes on."""
    config = tmp_path / "hypertool.toml"
    config.write_text(f'[personas.{NAME}]\ntokens = 1\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    session.asks(NAME, TASK)
    session.starts(1, TASK)

    def code(content: Any) -> int:
        request = {"llm_request": {"messages": [{"role": "user", "content": content}]}}
        return call_hook(AGENT, "BeforeModel", {**session.given, **request}).returncode

    assert code(TASK) == 2
    assert code([{"text": TASK}]) == 2
    assert code("<session_context>") == 0


@pytest.mark.parametrize("odd", [None, 5, [], {}, [None], [{"text": 5}], "", " ", "\ud800", "x" * 2_000_000])
def test_odd_tasks_tell_nothing_and_stop_nobody(odd: Any, session: Session) -> None:
    session.asks(odd, odd)
    session.asks(NAME, [odd])
    session.starts(1, odd)
    assert session.read() > 2
    for messages in (odd, [odd], [{"content": odd}]):
        given = {**session.given, "llm_request": {"messages": messages}}
        assert call_hook(AGENT, "BeforeModel", given).returncode == 0


def test_a_task_is_not_kept(session: Session) -> None:
    """Neither the ledger nor the store has its text."""
    session.asks(NAME, TASK)
    session.starts(1, TASK)
    session.read()
    assert counted(AGENT_CALLS.key, AGENT, NAME)
    kept = [path.read_bytes() for path in [*location.directory().rglob("*")] if path.is_file()]
    assert kept
    assert not any(b"sign-in" in one for one in kept)
