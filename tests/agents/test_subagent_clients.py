"""Sub-agents of real clients: each call once, under the sub-agent's own persona or that of its session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypertool.cli import main
from hypertool.domain.instruments import AGENT_CALLS, AGENT_TOKENS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted, open_ledger
from tests.agents.real_clients import AGENTS, run, set_up
from tests.support.fake_models import FakeModels

NAME, PARENT = "backend-engineer", "data-scientist"
BODY = f"---\nname: {NAME}\ndescription: Works on the backend\n---\nYou are the backend engineer. Do your task.\n"
TASK = {"description": "work", "prompt": "Work"}
# What a model asks each client for to get two sub-agents, and where the client looks for a sub-agent called NAME.
# Codex and Cline have no names for theirs; Gemini CLI writes them only when a sub-agent has ended, but tells its hooks.
ASKED: dict[str, tuple[list[tuple[str, dict[str, Any]]], str]] = {
    "copilot-cli": (
        [("task", {**TASK, "agent_type": NAME, "name": "a"}),
         ("task", {**TASK, "agent_type": "general-purpose", "name": "b"})],
        f".github/agents/{NAME}.agent.md",
    ),
    "opencode": (
        [("task", {**TASK, "subagent_type": NAME}), ("task", {**TASK, "subagent_type": "general"})],
        f".opencode/agents/{NAME}.md",
    ),
    "qwen-code": (
        [("agent", {**TASK, "subagent_type": NAME, "run_in_background": False}),
         ("agent", {**TASK, "subagent_type": "general-purpose", "run_in_background": False})],
        f"../.qwen/agents/{NAME}.md",
    ),
    "gemini-cli": (
        [("invoke_agent", {"agent_name": NAME, "prompt": "Work on the backend"}),
         ("invoke_agent", {"agent_name": "generalist", "prompt": "Work"})],
        f"../.gemini/agents/{NAME}.md",
    ),
    "codex": ([("spawn_agent", {"message": "Work"}), ("spawn_agent", {"message": "Work too"})], ""),
    "cline": (
        [("spawn_agent", {"systemPrompt": "You work", "task": task}) for task in ("Work", "Work too")],
        "",
    ),
}  # fmt: skip


def wait_for_them(body: dict[str, Any]) -> list[tuple[str, Any]] | None:
    """Codex ends without waiting for its sub-agents, and then with a call of theirs: its model asks it to wait."""
    results = [one["output"] for one in body["input"] if one.get("type") == "function_call_output"]
    started = [json.loads(one)["agent_id"] for one in results if "agent_id" in one]
    return [("wait_agent", {"targets": [one]}) for one in started] or None


NAMED = ("copilot-cli", "opencode", "qwen-code", "gemini-cli")


@pytest.mark.parametrize("agent", ASKED)
def test_subagents_of_a_real_client(agent: str, programs: Path, project: Path) -> None:
    """Two sub-agents at once, one of which uses a tool: exact, in one session, under the persona that is theirs."""
    asked, place = ASKED[agent]
    if place:
        (project / place).parent.mkdir(parents=True)
        (project / place).write_text(BODY)
    waiting = [wait_for_them] if agent == "codex" else []
    with FakeModels(commands=[asked, *waiting, "sleep 1"]) as models:
        client = set_up(AGENTS[agent], models, programs, project)
        if agent == "gemini-cli":
            assert main(["agents", "install", agent]) == 0
        client = client._replace(around=(str(HYPERTOOL), "run", "--persona", PARENT, "--"))
        done = run(client, models, programs, project)
        AgentSessions(str(project.parent), {}).round()
        said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
        assert counted(AGENT_CALLS.key, agent) == len(models.served) >= 4, said
        assert counted(AGENT_TOKENS.key, agent) == models.tokens(client.cache_write, client.reasoning_beside), said
    own = counted(AGENT_CALLS.key, agent, NAME)
    assert bool(own) == (agent in NAMED), said
    assert counted(AGENT_CALLS.key, agent, PARENT) == len(models.served) - own, said
    ledger = open_ledger()
    assert ledger.connection.execute("SELECT count(DISTINCT session) FROM calls").fetchone() == (1,)
