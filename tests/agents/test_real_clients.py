"""Real coding agents from npm against a model server of ours: every figure to the token, and budgets that stop them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypertool.agents.installing.plans import HOOKED
from hypertool.cli import main
from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, AGENT_UNRECOGNISED, TOKENS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.conftest import AfterLimit, Limit
from tests.agents.hooking import spend
from tests.agents.ledgers import counted
from tests.agents.real_clients import AGENTS, kill, profile, run, set_up, start, until
from tests.support.fake_models import FakeModels


@pytest.mark.parametrize(
    ("agent", "hooked"),
    [pytest.param(agent, True, id=f"{agent}-hooks and service") for agent in AGENTS if agent in HOOKED]
    + [pytest.param(agent, False, id=f"{agent}-service") for agent in AGENTS],
)
def test_real_client_counts_to_the_token(
    agent: str, hooked: bool, models: FakeModels, programs: Path, project: Path
) -> None:
    """One prompt with a tool: ledger, metrics and what the server reported agree, whichever sources are on."""
    client = AGENTS[agent]
    set_up(client, models, programs, project)
    if hooked:
        assert main(["agents", "install", agent]) == 0
    done = run(client, models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
    assert models.served, done.stdout + done.stderr
    AgentSessions(str(project.parent), {}).round()
    said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    assert counted(AGENT_CALLS.key, agent) == len(models.served), said
    assert counted(AGENT_TOKENS.key, agent) == models.tokens(client.cache_write, client.reasoning_beside)
    if hooked and agent != "codex":  # Codex asks a person to trust its hooks
        assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key)


def test_real_client_retries_count_once(models: FakeModels, programs: Path, project: Path) -> None:
    """A call that was refused with 529 and made again is one call."""
    models.refuse_first = 1
    run(AGENTS["claude-code"], models, programs, project)
    AgentSessions(str(project.parent), {}).round()
    assert len(models.asked) == len(models.served) + 1
    assert counted(AGENT_TOKENS.key) == models.tokens(True)


@pytest.mark.parametrize("agent", ["claude-code", "gemini-cli", "cline", "qwen-code", "auggie"])
def test_real_client_stops_at_its_budget(
    agent: str,
    programs: Path,
    project: Path,
    limit: Limit,
    after_limit: AfterLimit,
) -> None:
    """With a budget that blocks, no call is made after the one that overspent it; at most one, on a busy machine."""
    limit(1500)
    with FakeModels(commands=["echo one", "echo two", "echo three", "echo four"]) as models:
        set_up(AGENTS[agent], models, programs, project)
        assert main(["agents", "install", agent]) == 0
        done = run(AGENTS[agent], models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
        said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
        # A hook that a busy machine holds up for longer than its deadline lets one more call pass, by design.
        after_limit(agent, "hook, within a turn", len(models.served) - 2, 0)
        assert len(models.served) in (2, 3), said
    assert counted(AGENT_BLOCKED.key, agent, "backend-engineer") >= 1


def test_real_client_is_refused_at_the_prompt(
    programs: Path, project: Path, limit: Limit, after_limit: AfterLimit
) -> None:
    """A workspace whose budget of the day is used up: Copilot CLI makes no call at all."""
    limit(100, "day")
    assert main(["agents", "install", "copilot-cli"]) == 0
    spend("backend-engineer", 100)
    served = []
    for _ in range(3):  # A hook that a busy machine holds up for seconds lets the prompt pass, and says so.
        with FakeModels() as models:
            run(AGENTS["copilot-cli"], models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
            served.append(len(models.served))
        if not served[-1]:
            after_limit("copilot-cli", "hook, at a prompt", 0, 0)
            return
    pytest.fail(f"the prompt was never refused: {served} calls in three runs")


def test_real_client_killed_in_the_middle(models: FakeModels, programs: Path, project: Path) -> None:
    """SIGKILL while a tool runs: what the server has answered until then is counted."""
    models.pending(["mkfifo never && touch begun && cat never"])  # It ends only by being killed.
    client = AGENTS["claude-code"]
    process = start(client, models, programs, project)
    try:
        until((project / "begun").exists, "the start of the tool")
    finally:
        kill(process)
    AgentSessions(str(project.parent), {}).round()
    assert models.served
    assert counted(AGENT_TOKENS.key, "claude-code") == models.tokens(True)


def test_real_client_resumed_session(programs: Path, project: Path) -> None:
    """A second prompt in the same session repeats nothing of the first one."""
    with FakeModels() as models:
        run(AGENTS["claude-code"], models, programs, project)
        again = AGENTS["claude-code"]._replace(command=["claude", "-p", "--continue", "And again"])
        run(again, models, programs, project)
        forked = AGENTS["claude-code"]._replace(command=["claude", "-p", "--continue", "--fork-session", "Once more"])
        run(forked, models, programs, project)
        AgentSessions(str(project.parent), {}).round()
        assert len(models.served) == 3
        assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == (3, models.tokens(True))


@pytest.mark.parametrize("hooked", [True, False], ids=["hooks and service", "service"])
def test_real_client_subagents_are_their_personas(hooked: bool, programs: Path, project: Path) -> None:
    """Two sub-agents at once, called like personas: each one's calls are that persona's, the rest the session's."""
    folder = project / ".claude" / "agents"
    folder.mkdir(parents=True)
    names = ("backend-engineer", "testing-specialist")
    for name in names:
        (folder / f"{name}.md").write_text(f"---\nname: {name}\ndescription: {name}\n---\nWork.\n")
    if hooked:
        assert main(["agents", "install", "claude-code"]) == 0
    both = [("Agent", {"description": name, "prompt": "Work", "subagent_type": name}) for name in names]
    with FakeModels(commands=[both]) as models:
        run(AGENTS["claude-code"], models, programs, project, HYPERTOOL_PERSONA="data-scientist")
        AgentSessions(str(project.parent), {}).round()
        assert counted(AGENT_TOKENS.key) == models.tokens(True)
        assert counted(AGENT_CALLS.key) == len(models.served)
    assert [counted(AGENT_CALLS.key, "claude-code", name) for name in names] == [1, 1]
    rest = counted(AGENT_CALLS.key, "claude-code", "data-scientist" if hooked else "unknown")
    assert rest == counted(AGENT_CALLS.key) - 2 >= 2


def test_real_client_switch_in_its_shell(programs: Path, project: Path) -> None:
    """`tta-persona switch` in mid-session: calls before it keep their persona, calls after it have the new one."""
    assert main(["agents", "install", "claude-code"]) == 0
    with FakeModels(commands=["tta-persona switch testing"]) as models:
        run(AGENTS["claude-code"], models, programs, project, HYPERTOOL_PERSONA="data-scientist")
        assert counted(AGENT_TOKENS.key) == models.tokens(True)
    assert counted(AGENT_CALLS.key, "claude-code", "data-scientist") == 1
    assert counted(AGENT_CALLS.key, "claude-code", "testing-specialist") == 1


@pytest.mark.parametrize("agent", ["claude-code", "gemini-cli", "auggie"])
def test_real_client_two_sessions_at_once(agent: str, programs: Path, project: Path) -> None:
    """Two sessions in one workspace, one of which switches while both run: the other one keeps its persona."""
    client = AGENTS[agent]
    with FakeModels(commands=["mkfifo gate && touch begun && cat gate", "tta-persona switch testing"]) as models:
        set_up(client, models, programs, project)
        assert main(["agents", "install", agent]) == 0
        shell = {"BASH_ENV": profile(project.parent, programs)}
        process = start(client, models, programs, project, HYPERTOOL_PERSONA="data-scientist", **shell)
        try:
            until((project / "begun").exists, "the start of the first session's tool")
            done = run(client, models, programs, project, HYPERTOOL_PERSONA="devops-engineer", **shell)
            (project / "gate").write_bytes(b"")
            process.communicate(timeout=60)
        finally:
            kill(process)
        assert counted(AGENT_TOKENS.key) == models.tokens(client.cache_write, client.reasoning_beside)
    names = ("data-scientist", "devops-engineer", "testing-specialist")
    assert [counted(AGENT_CALLS.key, agent, name) for name in names] == [2, 1, 1], done.stdout + done.stderr


def test_auggie_subagents_are_missed_aloud(programs: Path, project: Path) -> None:
    """Auggie keeps no usage of its sub-agents' calls: the rest is exact, and each sub-agent counts as unrecognised."""
    run_it = {"action": "run", "name": "one", "instruction": "Work"}
    with FakeModels(commands=[[("sub-agent-general-purpose", run_it)], "echo one"]) as models:
        run(AGENTS["auggie"], models, programs, project)
        AgentSessions(str(project.parent), {}).round()
        assert len(models.served) == 4
        assert counted(AGENT_TOKENS.key, "auggie") == models.tokens(True, numbers=(1, 4))
    assert counted(AGENT_UNRECOGNISED.key, "auggie", "no_subagent_usage") == 1
