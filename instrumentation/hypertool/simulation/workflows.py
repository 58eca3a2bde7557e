"""Runs the declared workflows: each stage calls the LLM once, through the counting wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..domain.workflows import WORKFLOWS, Stage, Workflow
from ..llm.calls.wrapper import ObservableLLM
from ..workflow.tracer import WorkflowTracer
from .llm import Reply, SimulatedLLM

BASELINE = "package_release"
INCIDENT = "incident_response"


class Route(NamedTuple):
    """The route of one severity: the decision, and how many stages run."""

    decision: str
    stages: int


ROUTES: dict[str, Route] = {
    "p0_critical": Route("escalated", 0),
    "p1_high": Route("resolved", 3),
    "p2_medium": Route("fixed", 2),
    "p3_low": Route("ticket", 0),
}


class StageReport(NamedTuple):
    """The result of one stage: seconds of wall time, input plus output tokens."""

    stage: str
    persona: str
    chatmode: str
    model: str
    tokens: int
    seconds: float
    passed: bool


class WorkflowReport(NamedTuple):
    """The result of one run; `decision` is `completed`, or what the severity routing decided.

    `trace_id` is None without tracing.
    """

    workflow: str
    run_id: str | None
    decision: str
    stages: tuple[StageReport, ...]
    seconds: float
    trace_id: str | None

    @property
    def tokens(self) -> int:
        """Tokens of all stages together."""
        return sum(stage.tokens for stage in self.stages)


def run_workflow(
    name: str,
    llm: SimulatedLLM | None = None,
    severity: str = "p1_high",
    workflows: Mapping[str, Workflow] = WORKFLOWS,
) -> WorkflowReport:
    """Run a declared workflow; `severity` routes `incident_response` and nothing else.

    Raises ValueError for an unknown workflow or severity, TokenBudgetExceeded where a persona's budget blocks.
    """
    workflow = workflows.get(name)
    if workflow is None:
        raise ValueError(f"unknown workflow {name!r:.120}; declared are {', '.join(sorted(workflows))}")
    stages, decision, metadata = workflow.stages, "completed", {}
    if name == INCIDENT:
        route = ROUTES.get(severity)
        if route is None:
            raise ValueError(f"unknown severity {severity!r:.120}; expected one of {', '.join(ROUTES)}")
        stages, decision = stages[: route.stages], route.decision
        metadata = {"severity": severity, "decision": decision}
    modes = {stage.chatmode for stage in workflow.stages}
    if len(modes) == 1:
        metadata["chatmode"] = next(iter(modes))
    llm = llm or SimulatedLLM()
    observed = ObservableLLM(llm, llm.model, provider=llm.model)
    with WorkflowTracer(name, metadata) as tracer:
        reports = tuple(_run_stage(tracer, stage, observed) for stage in stages)
    return WorkflowReport(name, tracer.run_id, decision, reports, tracer.duration_seconds, tracer.trace_id)


def run_baseline(llm: SimulatedLLM | None = None) -> WorkflowReport:
    """The baseline: `package_release`, 2,050 tokens in about 1.2 s."""
    return run_workflow(BASELINE, llm)


def _run_stage(tracer: WorkflowTracer, stage: Stage, llm: ObservableLLM[[str, int], Reply]) -> StageReport:
    with tracer.stage_context(stage.name, stage.persona, {"chatmode": stage.chatmode}) as handle:
        reply = llm(f"{tracer.workflow_name}: {stage.name}", stage.tokens)
    return StageReport(
        stage.name,
        stage.persona,
        stage.chatmode,
        reply["model"],
        reply["usage"]["total_tokens"],
        handle.duration_seconds,
        handle.quality_gate_passed is True,
    )
