"""`hypertool mcp` in real coding agents: a switch by a tool splits the session's calls at that moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_CALLS, QUALITY_GATE
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted
from tests.agents.real_clients import AGENTS, Client, run, set_up
from tests.support.fake_models import FakeModels

SERVER = {"command": str(HYPERTOOL), "args": ["mcp"]}


def with_server(agent: str, home: Path) -> Client:
    """The client with our server in its configuration."""
    client, config = AGENTS[agent], home / "mcp.json"
    if agent == "codex":
        with (home / ".codex/config.toml").open("a") as file:
            file.write(f'[mcp_servers.hypertool]\ncommand = "{HYPERTOOL}"\nargs = ["mcp"]\n')
            file.write('env_vars = ["HYPERTOOL_STATE_DIR"]\n')  # Codex passes on only what is named.
        return client
    if agent == "gemini-cli":
        path = home / ".gemini/settings.json"
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "mcpServers": {"hypertool": {**SERVER, "trust": True}}})
        )
        return client
    more = {"type": "local", "tools": ["*"]} if agent == "copilot-cli" else {}
    config.write_text(json.dumps({"mcpServers": {"hypertool": {**SERVER, **more}}}))
    if agent == "copilot-cli":
        return client._replace(command=[*client.command, "--additional-mcp-config", f"@{config}"])
    return client._replace(
        command=["claude", "-p", "Hi", "--mcp-config", str(config), "--allowedTools", "mcp__hypertool"]
    )


@pytest.mark.parametrize("agent", ["claude-code", "codex", "copilot-cli", "gemini-cli"])
def test_mcp_in_a_real_client(agent: str, programs: Path, project: Path) -> None:
    """The agent calls the tools: its calls after the switch are the new persona's, and its gate is a stage."""
    with FakeModels(
        commands=[
            [("persona_switch", {"persona": "testing"})],
            [("gate", {"workflow": "bug_fix", "stage": "testing_validation", "command": "exit 3"})],
        ]
    ) as models:
        set_up(AGENTS[agent], models, programs, project)
        # Claude Code would offer the tools only after a search for them.
        done = run(with_server(agent, project.parent), models, programs, project, ENABLE_TOOL_SEARCH="false")
        AgentSessions(str(project.parent), {}).round()
    assert counted(QUALITY_GATE.key, "bug_fix", "testing_validation", "fail") == 1, done.stdout + done.stderr
    assert counted(AGENT_CALLS.key, agent) == len(models.served)
    # Gemini CLI tells its servers no session: there the switch is the workspace's, for sessions that follow it.
    if agent != "gemini-cli":
        assert counted(AGENT_CALLS.key, agent, "testing-specialist") == 2
