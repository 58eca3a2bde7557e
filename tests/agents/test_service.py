"""The service counts sessions of agents without hooks, together with hooks or without, each call once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hypertool.agents import collecting
from hypertool.agents.hooks.events import parse
from hypertool.agents.hooks.handling import handle
from hypertool.agents.ledger import location
from hypertool.cli import main
from hypertool.domain.instruments import AGENT_CALLS, AGENT_TOKENS
from hypertool.service import agent_sessions
from hypertool.service.agent_sessions import AgentSessions
from tests.agents import homes
from tests.agents.hooking import call_hook, recorded_events
from tests.agents.ledgers import counted
from tests.agents.test_ledger import FIGURES
from tests.agents.test_run_sessions import write


@pytest.fixture
def service(home: Path) -> AgentSessions:
    return AgentSessions(str(home), {})


def test_service_counts_every_agent(service: AgentSessions, home: Path) -> None:
    """All recorded sessions, and those of the agents that have no hooks."""
    for agent in FIGURES:
        homes.install(home, agent)
    homes.opencode_database(home, {"msg_1": homes.opencode_message(1)})
    homes.qwen_session(home, homes.qwen_record(1))
    assert service.round() == sum(calls for calls, _ in FIGURES.values()) + 2
    assert {agent: counted(AGENT_TOKENS.key, agent) for agent in FIGURES} == {
        agent: tokens for agent, (_, tokens) in FIGURES.items()
    }
    assert service.round() == 0


@pytest.mark.parametrize("agent", FIGURES)
def test_hooks_and_service_count_once(agent: str, service: AgentSessions, home: Path) -> None:
    """Whichever of the two sees a call first, in every order of events and rounds."""
    paths = homes.install(home, agent)
    contents = [path.read_bytes() for path in paths]
    events = recorded_events(agent, home)
    for number, (name, given) in enumerate(events):
        share = (number + 1) / len(events)
        for path, content in zip(paths, contents, strict=True):
            cut = len(content) if path.suffix == ".json" or share == 1 else int(len(content) * share)
            with open(path, "r+b") as file:
                file.truncate(0)
                file.write(content[:cut])
        for who in (service.round, lambda n=name, g=given: handle(parse(agent, n, g)))[:: 1 if number % 2 else -1]:
            who()
    service.round()
    assert (counted(AGENT_CALLS.key, agent), counted(AGENT_TOKENS.key, agent)) == FIGURES[agent]


def test_service_makes_no_ledger_for_nothing(service: AgentSessions, home: Path) -> None:
    """On a host without agents nothing is written."""
    assert service.round() == 0
    assert not location.directory().exists()


def test_service_leaves_history_alone(service: AgentSessions, home: Path) -> None:
    """A session that was not touched for more than a week is not counted as if it were today's."""
    [path] = homes.install(home, "copilot-cli")
    old = time.time() - 8 * 86400
    os.utime(path, (old, old))
    assert service.round() == 0


def test_service_adds_costs(service: AgentSessions, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that hooks counted get their cost from the service."""
    monkeypatch.setattr(agent_sessions, "PRICE_SECONDS", 0.0)
    homes.install(home, "claude-code")
    service.round()
    service.round()
    assert counted("usd") == 40_686_800


def test_idle_round_is_cheap(service: AgentSessions, home: Path) -> None:
    """A round over 100 unchanged sessions takes less than one per cent of a core at one round every two seconds."""
    [path] = homes.install(home, "copilot-cli")
    content = path.read_bytes()
    for number in range(100):
        other = path.parent.parent / f"session-{number}" / "events.jsonl"
        other.parent.mkdir()
        other.write_bytes(content)
    service.round()
    best = min(_processor_seconds(service) for _ in range(5))
    assert best < 0.01 * agent_sessions.EVERY_SECONDS


def _processor_seconds(service: AgentSessions) -> float:
    started = time.process_time()
    service.round()
    return time.process_time() - started


@pytest.mark.parametrize("scope", ["user", "project"])
def test_service_waits_for_clines_first_hook(
    scope: str, service: AgentSessions, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cline does not wait for its hooks: a new session's calls wait until one has said whose they are."""
    monkeypatch.chdir(project)
    assert main(["agents", "install", "cline", "--scope", scope]) == 0
    write("cline", project.parent, "a", project, time.time())
    assert service.round() == counted(AGENT_CALLS.key) == 0
    given = {"sessionContext": {"rootSessionId": "a"}, "workspaceRoots": [str(project)]}
    assert call_hook("cline", "TaskStart", given, HYPERTOOL_PERSONA="backend-engineer").returncode == 0
    service.round()
    assert counted(AGENT_CALLS.key) == counted(AGENT_CALLS.key, "cline", "backend-engineer") == 1


@pytest.mark.parametrize("hooked", [True, False])
def test_service_waits_for_no_hook_for_long(hooked: bool, service: AgentSessions, project: Path) -> None:
    """A session whose hook never comes, and one of a Cline without hooks, is counted nevertheless."""
    if hooked:
        assert main(["agents", "install", "cline"]) == 0
    write("cline", project.parent, "a", project, time.time() - (collecting.HOLD_SECONDS + 2 if hooked else 0))
    assert service.round() == 1
