"""Real coding agents through the gateway, with the service on: every call once, and none past the limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, TOKENS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.conftest import AfterLimit, Limit
from tests.agents.gateways import PATHS, Gateway, through
from tests.agents.ledgers import counted, open_ledger, remaining
from tests.agents.real_clients import AGENTS, run
from tests.support.fake_models import FakeModels

AGENTS_BEHIND = ("claude-code", "codex", "copilot-cli", "gemini-cli")


@pytest.mark.parametrize("agent", AGENTS_BEHIND)
def test_real_client_through_the_gateway(
    agent: str,
    gateway: Callable[[FakeModels], Gateway],
    models: FakeModels,
    programs: Path,
    project: Path,
) -> None:
    """Ledger, metrics, budget and what the server reported agree to the token: nothing twice, nothing missing."""
    behind = gateway(models)
    client = through(AGENTS[agent], behind.base(agent), project, models, programs)
    done = run(client, models, programs, project)
    assert models.served, done.stdout + done.stderr
    AgentSessions(str(project.parent), {}).round()
    behind.end()
    AgentSessions(str(project.parent), {}).round()
    said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    used = models.tokens(client.cache_write, client.reasoning_beside)
    ledger = open_ledger()
    rows = ledger.connection.execute("SELECT agent, source, persona, session FROM calls ORDER BY at").fetchall()
    ledger.close()
    assert counted(AGENT_CALLS.key, agent) == len(models.served) == len(rows), f"{rows} {said}"
    assert counted(AGENT_TOKENS.key, agent) == counted(TOKENS.key) == used, f"{rows} {said}"
    assert {row[0] for row in rows} == {agent}
    assert counted(TOKENS.key, "backend-engineer") == used, f"{rows} {said}"
    assert remaining() == 2000 - used


@pytest.mark.parametrize("agent", PATHS)
def test_real_client_is_stopped_by_the_gateway(
    agent: str,
    limit: Limit,
    gateway: Callable[[FakeModels], Gateway],
    programs: Path,
    project: Path,
    after_limit: AfterLimit,
) -> None:
    """Without any hook: after the call that overspent, none is served, and the agent ends."""
    limit(1100, "day")
    with FakeModels(commands=["echo one", "echo two", "echo three", "echo four"]) as models:
        behind = gateway(models)
        client = through(AGENTS[agent], behind.base(agent), project, models, programs)
        done = run(client, models, programs, project)
        behind.end()
        refused = counted(AGENT_BLOCKED.key, agent, "backend-engineer")
        after_limit(agent, "gateway", len(models.served) - 1, refused)
        assert len(models.served) == 1, f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key)
    assert 1 <= refused <= 3
