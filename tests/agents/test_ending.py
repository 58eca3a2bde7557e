"""An agent that no hook's answer stops is ended when its budget blocks: by its hook, and only that agent."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_BLOCKED
from tests.agents import homes
from tests.agents.conftest import AfterLimit, Limit
from tests.agents.hooking import HYPERTOOL, event
from tests.agents.ledgers import counted
from tests.agents.real_clients import AGENTS, run, set_up
from tests.agents.test_hooks import overspend
from tests.agents.watching import HANG
from tests.support.fake_models import FakeModels


def hook_below(name: str, home: Path, event_name: str = "PreToolUse") -> subprocess.CompletedProcess[str]:
    """Auggie's hook as the child of a process with that name, which says so if it goes on.

    Bash waits for its children before it heeds SIGINT, so it stays until SIGTERM.
    """
    given = home / "given.json"
    session = homes.session_file(home, "auggie").stem
    given.write_text(json.dumps({**event("auggie", home, event_name), "conversation_id": session}))
    shell = f"{shlex.quote(str(HYPERTOOL))} hook auggie {event_name} < {shlex.quote(str(given))}; echo went on"
    return subprocess.run(
        ["bash", "-c", f"exec -a {name} bash -c {shlex.quote(shell)}"],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("event_name", ["SessionStart", "PreToolUse", "PostToolUse"])
def test_overspent_auggie_is_ended(event_name: str, home: Path, limit: Limit) -> None:
    """Its process ends although it holds out against SIGINT, and says budget, use and who can raise it."""
    limit(1000)
    overspend("auggie", home)
    done = hook_below("auggie", home, event_name)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
    assert "the token budget of backend-engineer is 1000 a run" in done.stderr
    assert counted(AGENT_BLOCKED.key, "auggie", "backend-engineer") == 1


def test_another_process_is_never_ended(home: Path, limit: Limit) -> None:
    """Below a process that is not Auggie's, its hook ends nothing and counts no stop."""
    limit(1000)
    overspend("auggie", home)
    done = hook_below("gemini", home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert counted(AGENT_BLOCKED.key) == 0


def test_auggie_within_its_budget_goes_on(home: Path, limit: Limit) -> None:
    """With tokens left nothing is ended."""
    limit(10**6)
    overspend("auggie", home)
    assert hook_below("auggie", home).stdout == "went on\n"


# Copilot CLI and opencode write a call's usage when its tools have ended: the next one is in flight by then.
@pytest.mark.parametrize(
    ("agent", "commands"),
    [("codex", [HANG]), ("auggie", [HANG]), ("copilot-cli", ["echo one", HANG]), ("opencode", ["echo one", HANG])],
)
def test_run_ends_a_real_client(
    agent: str, commands: list[str], programs: Path, project: Path, limit: Limit, after_limit: AfterLimit
) -> None:
    """Under `hypertool run`, without hooks: none but the call in flight follows the one that overspends."""
    limit(1000)
    with FakeModels(commands=commands) as models:
        client = set_up(AGENTS[agent], models, programs, project)
        client = client._replace(around=(str(HYPERTOOL), "run", "--persona", "backend-engineer", "--"))
        done = run(client, models, programs, project)
        said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
        assert 1 <= len(models.served) <= len(commands), said
        after_limit(agent, "hypertool run", len(models.served) - 1, 0)
    assert "was ended. Hypertool: the token budget of backend-engineer is 1000 a run" in done.stderr, said
    assert counted(AGENT_BLOCKED.key, agent, "backend-engineer") == 1
