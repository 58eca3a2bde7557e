"""`hypertool workflow run` with real coding agents: each stage's agent, gate and tokens, a failed gate, and a kill."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hypertool.cli import main
from tests.agents.hooking import HYPERTOOL
from tests.agents.measured import Measured, series
from tests.agents.real_clients import AGENTS, RUN_SECONDS, set_up, until
from tests.support.fake_models import FakeModels
from tests.support.otlp_receiver import OtlpReceiver

# Stage to persona and agent.
STAGES = {
    "plan": ("architect", "claude-code"),
    "build": ("backend-engineer", "gemini-cli"),
    "check": ("testing-specialist", "codex"),
}
_STAGE = re.compile(r"Do the stage (\w+) ")


@dataclass
class StagedModels(FakeModels):
    """A model that asks for one command a stage, which it finds in `work`; `calls` has the numbers by stage."""

    work: dict[str, str] = field(default_factory=dict)
    calls: dict[str, list[int]] = field(default_factory=dict)

    def next_call(self, dialect: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        """The command of the stage that the prompt names."""
        call = super().next_call(dialect, body)
        found = _STAGE.search(json.dumps(body))
        if call is None or found is None:
            return call
        self.calls.setdefault(found[1], []).append(call[0])
        return call[0], self.work.pop(found[1], None) if body.get("tools") else None


class Team:
    """A workspace with the workflow `ship_it`: each stage has its agent and a gate that wants the stage's file."""

    def __init__(
        self,
        project: Path,
        programs: Path,
        models: StagedModels,
        otlp: OtlpReceiver,
        stages: dict[str, tuple[str, str]] = STAGES,
    ) -> None:
        self.project = project
        self.stages = stages
        self.models = models
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{HYPERTOOL.parent}:{os.environ['PATH']}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        }
        lines = ["[personas.architect]", "tokens = 9000", "[workflows.ship_it]", "token_budget = 20000"]
        for stage, (persona, agent) in stages.items():
            client = AGENTS[agent]
            set_up(client, models, programs, project)
            self.environment.update(client.environment(models.url))
            words = ["{prompt}" if word == "Say hello" else word for word in client.command]
            lines += ["[[workflows.ship_it.stages]]", f'name = "{stage}"', f'persona = "{persona}"']
            lines += [f"agent = {json.dumps(shlex.join(words))}", f'gate = "test -e {stage}.done"']
        config = project.parent / "hypertool.toml"
        config.write_text("\n".join(lines) + "\n")
        self.environment["HYPERTOOL_CONFIG"] = str(config)
        models.work = {stage: f"touch {stage}.done" for stage in stages}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`hypertool workflow run` in a session of its own."""
        return subprocess.Popen(
            [str(HYPERTOOL), "workflow", "run", *arguments, "--json"],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Its report."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert process.returncode == code, f"{self.models.asked} {out[-1000:]} {err[-2000:]}"
        return json.loads(out)

    def tokens(self, stage: str) -> int:
        """What the model reported for the calls of a stage."""
        client = AGENTS[self.stages[stage][1]]
        return self.models.tokens(client.cache_write, client.reasoning_beside, self.models.calls.get(stage, []))


@pytest.fixture
def team(programs: Path, project: Path, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The workspace, with its model."""
    with StagedModels() as models:
        made = Team(project, programs, models, otlp)
        monkeypatch.setenv("HYPERTOOL_CONFIG", made.environment["HYPERTOOL_CONFIG"])
        yield made


def used(prometheus: Measured) -> dict[tuple[str, ...], float]:
    """Tokens by persona, in Prometheus."""
    return series("hypertool_persona_tokens_used_total", prometheus.scrape(), "persona")


def gates(prometheus: Measured) -> dict[tuple[str, ...], float]:
    """Gates of the workflow by stage and result, in Prometheus."""
    return series("hypertool_workflow_quality_gate_total", prometheus.scrape(), "stage", "result")


def test_each_stage_has_its_agent(team: Team, otlp: OtlpReceiver, prometheus: Measured) -> None:
    """Three agents do three stages: personas, stages, switches, gates and every token are theirs, in one trace."""
    report = team.run("ship_it")
    assert {one["stage"]: one["tokens"] for one in report["attempts"]} == {one: team.tokens(one) for one in STAGES}
    assert set(team.models.calls) == set(STAGES)
    scraped = prometheus.scrape()
    assert used(prometheus) == {(persona,): team.tokens(stage) for stage, (persona, _) in STAGES.items()}
    measured = series("hypertool_workflow_stage_duration_seconds_count", scraped, "workflow", "stage", "persona")
    assert measured == {("ship_it", stage, persona): 1 for stage, (persona, _) in STAGES.items()}
    assert gates(prometheus) == {(stage, "pass"): 1 for stage in STAGES}
    came = ["none", *(persona for persona, _ in STAGES.values())]
    switches = series("hypertool_persona_switches_total", scraped, "from_persona", "to_persona")
    assert switches == dict.fromkeys(itertools.pairwise(came), 1)
    spans = {span.name: span for span in otlp.ours(4)}
    root = spans.pop("workflow.ship_it")
    assert spans.keys() == {f"stage.{stage}" for stage in STAGES}
    assert {(span.trace_id, span.parent_id) for span in spans.values()} == {(root.trace_id, root.span_id)}
    assert report["trace_id"] == root.trace_id


def test_auggie_does_a_stage(
    programs: Path, project: Path, otlp: OtlpReceiver, prometheus: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages by Auggie, the second of which leaves its work undone: gates, tokens and spans of both."""
    stages = {"plan": ("architect", "auggie"), "build": ("backend-engineer", "auggie")}
    with StagedModels() as models:
        team = Team(project, programs, models, otlp, stages)
        monkeypatch.setenv("HYPERTOOL_CONFIG", team.environment["HYPERTOOL_CONFIG"])
        del models.work["build"]
        report = team.run("ship_it", code=1)
        assert {one["stage"]: one["tokens"] for one in report["attempts"]} == {one: team.tokens(one) for one in stages}
        assert used(prometheus) == {(persona,): team.tokens(stage) for stage, (persona, _) in stages.items()}
    assert gates(prometheus) == {("plan", "pass"): 1, ("build", "fail"): 1}
    assert {span.trace_id for span in otlp.ours(3)} == {report["trace_id"]}


def test_failed_gate_stops_the_agents(team: Team, otlp: OtlpReceiver, prometheus: Measured) -> None:
    """An agent that leaves its work undone: the gate fails and shows, no later agent starts; --from starts there."""
    del team.models.work["build"]
    report = team.run("ship_it", code=1)
    assert [(one["stage"], one["passed"]) for one in report["attempts"]] == [("plan", True), ("build", False)]
    assert "check" not in team.models.calls
    assert gates(prometheus) == {("plan", "pass"): 1, ("build", "fail"): 1}
    assert used(prometheus) == {("architect",): team.tokens("plan"), ("backend-engineer",): team.tokens("build")}
    failed = next(span for span in otlp.ours(3) if span.name == "stage.build")
    assert failed.status_message == "quality gate failed: gate exit code 1"
    report = team.run("ship_it", "--from", "check")
    assert [(one["stage"], one["tokens"]) for one in report["attempts"]] == [("check", team.tokens("check"))]


@pytest.mark.parametrize("hooked", [True, False], ids=["hooks", "no hooks"])
def test_killed_run_goes_on(hooked: bool, team: Team, otlp: OtlpReceiver, prometheus: Measured) -> None:
    """kill -9 of the run and its agent in a stage: --resume does it again, in the same trace, and no token is lost.

    A hook knows the stage from the start; without hooks the run counts every two seconds.
    """
    if hooked:
        assert main(["agents", "install", "gemini-cli"]) == 0
    team.models.work["build"] = "mkfifo never && touch begun && cat never"
    process = team.start("ship_it")
    try:
        until((team.project / "begun").exists, "the command of the second stage")
        if not hooked:
            until(lambda: used(prometheus).get(("backend-engineer",)), "the call to be counted while its agent works")
        process.kill()
        process.wait(timeout=30)
        refused = subprocess.run(
            [str(HYPERTOOL), "workflow", "run", "--resume"],
            cwd=team.project,
            env=team.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, "the command of the interrupted stage build still runs" in refused.stderr) == (
            1,
            True,
        )
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # The agent and what it runs: its processes are in the run's group.
        process.communicate(timeout=30)
    team.models.work["build"] = "touch build.done"
    report = team.run("--resume")
    assert [(one["stage"], one["attempt"]) for one in report["attempts"]] == [("build", 2), ("check", 1)]
    assert used(prometheus) == {(persona,): team.tokens(stage) for stage, (persona, _) in STAGES.items()}
    until(lambda: gates(prometheus).get(("build", "fail")), "the killed stage to be counted")
    assert gates(prometheus) == {("plan", "pass"): 1, ("build", "fail"): 1, ("build", "pass"): 1, ("check", "pass"): 1}
    assert {span.trace_id for span in otlp.ours(3)} == {report["trace_id"]}
