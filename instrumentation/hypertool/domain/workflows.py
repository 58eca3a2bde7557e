"""The declared workflows: stages, personas, tokens, chatmodes and gates. The package's own are written here."""

from __future__ import annotations

from collections.abc import Mapping

from ..runtime.light_typing import NamedTuple

ON_FAIL = ("stop", "retry", "continue")
DEFAULT_CHATMODE = "default"
AGENT_SESSION = "agent_session"
"""The workflow of coding agents' sessions that are bound to none; no declared workflow may have its name."""


class Stage(NamedTuple):
    """One stage of a declared workflow.

    `tokens` is what it is planned to use (what a simulated run uses; 0: not planned), `gate` the shell command whose
    exit code is the verdict (None: the agent's own exit code), `agent` the command line that does the stage, with
    placeholders such as `{prompt}`, and `prompt` what that agent is told.
    """

    name: str
    persona: str
    tokens: int
    chatmode: str
    gate: str | None = None
    agent: str | None = None
    prompt: str | None = None


class Workflow(NamedTuple):
    """A chain of stages, each done by one persona and closed by a quality gate.

    `token_budget` is the sum for one run (None: only the personas' budgets hold); `on_exceed` is what an overspent one
    does: "warn", or "block" the next stage. `on_fail` is what a failed gate does: "stop" the run, "retry" the stage up
    to `retries` times with pauses from `backoff_seconds` on, each twice as long, or "continue".
    `source` is "package" or the file that declares it, `where` that file and the line.
    """

    name: str
    stages: tuple[Stage, ...]
    description: str = ""
    token_budget: int | None = None
    on_fail: str = "stop"
    on_exceed: str = "warn"
    retries: int = 2
    backoff_seconds: float = 1.0
    agent: str | None = None
    source: str = "package"
    where: str = ""

    @property
    def tokens(self) -> int:
        """The sum of what the stages are planned to use."""
        return sum(stage.tokens for stage in self.stages)

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, or None."""
        return next((stage for stage in self.stages if stage.name == name), None)


def _workflow(name: str, *stages: tuple[str, str, int]) -> Workflow:
    """A workflow whose stages all have the chatmode of its name."""
    return Workflow(name, tuple(Stage(*stage, chatmode=name.replace("_", "-")) for stage in stages))


WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        _workflow(
            "package_release",
            ("version_bump", "backend-engineer", 850),
            ("quality_validation", "testing-specialist", 650),
            ("publish_deploy", "devops-engineer", 550),
        ),
        _workflow(
            "feature_implementation",
            ("api_design", "backend-engineer", 800),
            ("frontend_components", "frontend-engineer", 900),
            ("testing_validation", "testing-specialist", 700),
        ),
        Workflow(
            "bug_fix",
            (
                Stage("investigation", "observability-expert", 800, "bug-investigation"),
                Stage("implement_fix", "backend-engineer", 900, "bug-fix"),
                Stage("testing_validation", "testing-specialist", 600, "bug-validation"),
            ),
        ),
        _workflow(
            "incident_response",
            ("investigation", "observability-expert", 1820),
            ("hotfix", "backend-engineer", 1850),
            ("deploy", "devops-engineer", 1640),
        ),
    )
}

CHATMODES: frozenset[str] = frozenset(s.chatmode for w in WORKFLOWS.values() for s in w.stages) | {"default"}
STAGES: frozenset[str] = frozenset(s.name for w in WORKFLOWS.values() for s in w.stages)
# The model of simulated runs; real models use the free places of the label.
SIMULATED_MODEL = "simulated"
MODELS: frozenset[str] = frozenset({SIMULATED_MODEL})


def declared_chatmode(workflow: str, stage: str, workflows: Mapping[str, Workflow] = WORKFLOWS) -> str | None:
    """The chatmode that a declared workflow gives a stage, or None."""
    found = workflows.get(workflow)
    if found is None:
        return None
    named = found.stage(stage)
    if named is not None:
        return named.chatmode
    modes = {candidate.chatmode for candidate in found.stages}
    return modes.pop() if len(modes) == 1 else None
