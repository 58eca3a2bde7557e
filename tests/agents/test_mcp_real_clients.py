"""`hypertool mcp` in real coding agents: a switch by a tool splits the session's calls at that moment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hypertool.cli import main
from hypertool.domain.instruments import AGENT_CALLS, QUALITY_GATE
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.ledgers import counted
from tests.agents.real_clients import AGENTS, run, set_up
from tests.support.fake_models import FakeModels

# What else a client's command needs to call our tools without a person who allows it.
ALLOWED = {"claude-code": ("--allowedTools", "mcp__hypertool")}
# These tell their servers no session: there the switch is the workspace's, for sessions that follow it.
NO_SESSION = ("gemini-cli", "cline", "opencode", "qwen-code")


@pytest.mark.parametrize("agent", list(AGENTS))
def test_mcp_in_a_real_client(agent: str, programs: Path, project: Path) -> None:
    """The agent calls the tools: its calls after the switch are the new persona's, and its gate is a stage."""
    with FakeModels(
        commands=[
            [("persona_switch", {"persona": "testing"})],
            [("gate", {"workflow": "bug_fix", "stage": "testing_validation", "command": "exit 3"})],
        ]
    ) as models:
        if agent == "qwen-code":  # It would offer them only after a search, too.
            path = project.parent / ".qwen" / "settings.json"
            path.parent.mkdir()
            path.write_text('{"tools": {"toolSearch": {"enabled": false}}}')
        client = set_up(AGENTS[agent], models, programs, project)
        assert main(["agents", "install", agent, "--mcp"]) == 0
        if agent == "auggie":  # It gives its servers no other variables than those of its settings.
            path = project.parent / ".augment" / "settings.json"
            document = json.loads(path.read_text())
            document["mcpServers"]["hypertool"]["env"] = {
                name: value for name, value in os.environ.items() if name.startswith("HYPERTOOL_")
            }
            path.write_text(json.dumps(document))
        client = client._replace(command=[*client.command, *ALLOWED.get(agent, ())])
        # Claude Code would offer the tools only after a search for them.
        done = run(client, models, programs, project, ENABLE_TOOL_SEARCH="false")
        AgentSessions(str(project.parent), {}).round()
    assert counted(QUALITY_GATE.key, "bug_fix", "testing_validation", "fail") == 1, done.stdout + done.stderr
    assert counted(AGENT_CALLS.key, agent) == len(models.served)
    if agent not in NO_SESSION:
        assert counted(AGENT_CALLS.key, agent, "testing-specialist") == 2
