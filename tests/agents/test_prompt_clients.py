"""Real coding agents load the exported files, and a prompt workflow that they follow is measured like any other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hypertool.cli import main
from hypertool.domain.workflows import WORKFLOWS
from tests.agents.following import FollowingModels
from tests.agents.hooking import HYPERTOOL
from tests.agents.measured import Measured, series
from tests.agents.real_clients import AGENTS, Client, profile, run, set_up
from tests.support.fake_models import FakeModels
from tests.support.otlp_receiver import OtlpReceiver

MAKEFILE = "lint build publish:\n\t@true\ntest:\n\t@test -e repaired\n"


class Loading(NamedTuple):
    """An agent's command line for a prompt, and the file whose text its first request has, or lists.

    `instead` is a folder whose files of the same name it prefers, and which is not there. With a `tool` that the model
    asks for, it is the second request.
    """

    agent: str
    path: str
    arguments: list[str]
    listed: bool = False
    instead: str = ""
    tool: tuple[str, dict[str, Any]] | None = None


LOADED = (
    Loading("claude-code", ".claude/skills/bug-fix-hypertool/SKILL.md", ["claude", "-p", "/bug-fix-hypertool"]),
    Loading("claude-code", ".claude/agents/backend-engineer.md", ["claude", "--agent", "backend-engineer", "-p", "Hi"]),
    Loading(
        "codex",
        ".agents/skills/bug-fix-hypertool/SKILL.md",
        [*AGENTS["codex"].command[:-1], "$bug-fix-hypertool"],
    ),
    Loading("gemini-cli", ".agents/skills/bug-fix-hypertool/SKILL.md", AGENTS["gemini-cli"].command, listed=True),
    Loading("copilot-cli", ".agents/skills/bug-fix-hypertool/SKILL.md", AGENTS["copilot-cli"].command, listed=True),
    Loading(
        "copilot-cli",
        ".github/agents/backend-engineer.agent.md",
        ["copilot", "--agent", "backend-engineer", "--allow-all-tools", "-p", "Hi"],
    ),
    Loading("cline", ".cline/workflows/bug-fix-hypertool.prompt.md", ["cline", "/bug-fix-hypertool.prompt now"]),
    Loading(
        "opencode",
        ".opencode/agents/backend-engineer.md",
        [*AGENTS["opencode"].command[:2], "--agent", "backend-engineer", *AGENTS["opencode"].command[2:]],
    ),
    Loading("opencode", ".agents/skills/bug-fix-hypertool/SKILL.md", AGENTS["opencode"].command, True, ".claude"),
    Loading(
        "cline",
        ".agents/skills/bug-fix-hypertool/SKILL.md",
        AGENTS["cline"].command,
        instead=".claude",
        tool=("skills", {"skill": "bug-fix-hypertool", "args": None}),
    ),
    Loading("qwen-code", ".agents/skills/bug-fix-hypertool/SKILL.md", AGENTS["qwen-code"].command, listed=True),
    Loading("qwen-code", ".qwen/agents/backend-engineer.md", AGENTS["qwen-code"].command, listed=True),
    Loading("auggie", ".augment/commands/bug-fix-hypertool.md", ["auggie", "-p", "/bug-fix-hypertool now"]),
    Loading("auggie", ".claude/skills/bug-fix-hypertool/SKILL.md", AGENTS["auggie"].command, listed=True),
    Loading(
        "auggie", ".agents/skills/bug-fix-hypertool/SKILL.md", AGENTS["auggie"].command, listed=True, instead=".claude"
    ),
    Loading("auggie", ".augment/agents/backend-engineer.md", AGENTS["auggie"].command, listed=True),
)
NOT_LOADED = (".augment/workflows", ".github/workflows", ".github/prompts")


def exported(project: Path) -> dict[str, str]:
    """Every file in the project, each with marks of its own in its description and its text; by path."""
    assert main(["workflow", "export", "--all", "--into", str(project)]) == 0
    marks = {}
    for number, file in enumerate(sorted(project.rglob("*.md"))):
        head, _, body = file.read_text().partition("\n---\n")
        head = head.replace('description: "', f'description: "Listed{number:03} ', 1)
        file.write_text(f"{head}\n---\nLoaded{number:03}\n{body}")
        marks[str(file.relative_to(project))] = f"{number:03}"
    return marks


def using(agent: str, command: list[str]) -> Client:
    return AGENTS[agent]._replace(command=command)


@pytest.mark.parametrize("case", LOADED, ids=lambda case: f"{case.agent} {case.path.split('/')[1]}")
def test_agent_loads_its_file(case: Loading, programs: Path, project: Path) -> None:
    """The mark in the file is in a request to the model; the marks of files that are not loaded are in none."""
    marks = exported(project)
    if case.instead:
        shutil.rmtree(project / case.instead)
    with FakeModels(commands=[[case.tool]] if case.tool else []) as models:
        client = using(case.agent, case.arguments)
        set_up(client, models, programs, project)
        done = run(client, models, programs, project, PWD=str(project))  # opencode goes by it
        sent = "\n".join(models.bodies)
    mark = f"{'Listed' if case.listed else 'Loaded'}{marks[case.path]}"
    assert mark in sent, done.stdout[-500:] + done.stderr[-500:]
    silent = [number for path, number in marks.items() if path.startswith(NOT_LOADED)]
    assert [number for number in silent if f"Loaded{number}" in sent or f"Listed{number}" in sent] == []


def test_auggie_lists_its_commands(programs: Path, project: Path) -> None:
    """Without an account Auggie says which commands it has: each file in `.augment/commands`, and no other of ours."""
    marks = exported(project)
    with FakeModels() as models:
        done = run(Client(["auggie", "command", "list"], lambda url: {}), models, programs, project)
    listed = {path for path, number in marks.items() if f"Listed{number}" in done.stdout}
    commands = {path for path in marks if path.startswith(".augment/commands/")}
    assert listed == commands, done.stdout[-500:] + done.stderr[-500:]


class Following(NamedTuple):
    """An agent and the workflow that it follows; `read` shows the file where the agent's prompt does not name it."""

    agent: str
    workflow: str
    arguments: list[str]
    read: str = ""


SKILL = ".agents/skills/{}-hypertool/SKILL.md"
FOLLOWED = (
    Following(
        "claude-code",
        "feature_implementation",
        ["claude", "-p", "/feature-implementation-hypertool", "--allowedTools", "Bash"],
    ),
    Following("cline", "bug_fix", ["cline", "/bug-fix-hypertool.prompt now"]),
    Following(
        "copilot-cli",
        "package_release",
        AGENTS["copilot-cli"].command,
        "cat .github/workflows/package-release-hypertool.prompt.md",
    ),
    Following(
        "auggie",
        "feature_implementation",
        AGENTS["auggie"].command,
        "cat .augment/workflows/feature-implementation-hypertool.prompt.md",
    ),
    Following("codex", "bug_fix", [*AGENTS["codex"].command[:-1], "$bug-fix-hypertool"]),
    Following(
        "gemini-cli",
        "package_release",
        AGENTS["gemini-cli"].command,
        f"cat {SKILL.format('package-release')}",
    ),
)


def follow(
    case: Following, programs: Path, project: Path, otlp: OtlpReceiver, repaired: bool = True
) -> tuple[FollowingModels, str]:
    """The agent follows the workflow to its end, or to the first gate that fails; also what it printed."""
    assert main(["workflow", "export", "--all", "--into", str(project)]) == 0
    (project / "Makefile").write_text(MAKEFILE)
    work = {}
    if case.workflow == "bug_fix":
        work = {"backend-engineer": "touch repaired"} if repaired else {}
    elif repaired:
        (project / "repaired").touch()
    with FollowingModels(read=case.read, work=work) as models:
        client = using(case.agent, case.arguments)
        set_up(client, models, programs, project)
        client = client._replace(around=(str(HYPERTOOL), "run", "--workflow", case.workflow, "--"))
        environment = {"BASH_ENV": profile(project.parent, programs), "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}
        done = run(client, models, programs, project, **environment)
    return models, f"{models.asked} {done.stdout[-1500:]} {done.stderr[-1500:]}"


@pytest.mark.parametrize("case", FOLLOWED, ids=lambda case: f"{case.agent} {case.workflow}")
def test_agent_follows_a_workflow(
    case: Following, programs: Path, project: Path, otlp: OtlpReceiver, prometheus: Measured
) -> None:
    """Switches, stages and gates are the declared ones, each call counts for its persona, and all is one trace."""
    models, said = follow(case, programs, project, otlp)
    stages = WORKFLOWS[case.workflow].stages
    scraped = prometheus.scrape()
    came = ["none", *(stage.persona for stage in stages)]
    switches = series("hypertool_persona_switches_total", scraped, "from_persona", "to_persona", "chatmode")
    assert switches == {(came[n], stage.persona, stage.chatmode): 1 for n, stage in enumerate(stages)}, said
    gates = series("hypertool_workflow_quality_gate_total", scraped, "workflow", "stage", "result")
    assert gates == {(case.workflow, stage.name, "pass"): 1 for stage in stages}, said
    measured = series("hypertool_workflow_stage_duration_seconds_count", scraped, "workflow", "stage", "persona")
    assert measured == {(case.workflow, stage.name, stage.persona): 1 for stage in stages}
    client, used = AGENTS[case.agent], {}
    asked = [*models.switched.values(), len(models.served)]  # A switch holds from the call after the one that asks.
    for place, persona in enumerate(["unknown", *models.switched]):
        calls = range(1 + (asked[place - 1] if place else 0), asked[place] + 1)
        used[(persona,)] = models.tokens(client.cache_write, client.reasoning_beside, calls)
    assert series("hypertool_persona_tokens_used_total", scraped, "persona") == used, said
    spans = otlp.ours(len(stages))
    assert sorted(span.name for span in spans) == sorted(f"stage.{stage.name}" for stage in stages)
    assert len({span.trace_id for span in spans}) == 1


STOPPED = (FOLLOWED[1], Following("auggie", "bug_fix", ["auggie", "-p", "/bug-fix-hypertool now"]))


@pytest.mark.parametrize("case", STOPPED, ids=lambda case: case.agent)
def test_failed_gate_stops_the_agent(
    case: Following, programs: Path, project: Path, otlp: OtlpReceiver, prometheus: Measured
) -> None:
    """Tests that fail: the gate shows its exit code to the agent, the last stage is not begun, and the fail counts."""
    _, said = follow(case, programs, project, otlp, repaired=False)
    gates = series("hypertool_workflow_quality_gate_total", prometheus.scrape(), "stage", "result")
    assert gates == {("investigation", "pass"): 1, ("implement_fix", "fail"): 1}, said
    switches = series("hypertool_persona_switches_total", prometheus.scrape(), "to_persona")
    assert ("testing-specialist",) not in switches
    failed = next(span for span in otlp.ours(2) if span.name == "stage.implement_fix")
    assert failed.attributes["stage.quality_gate_passed"] is False
