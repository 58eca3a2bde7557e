"""The declared workflows: stages, personas, tokens and chatmodes."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """One stage of a declared workflow; `tokens` is what its simulated run uses."""

    name: str
    persona: str
    tokens: int
    chatmode: str


class Workflow(NamedTuple):
    """A chain of stages, each done by one persona and closed by a quality gate."""

    name: str
    stages: tuple[Stage, ...]


def _workflow(name: str, *stages: tuple[str, str, int, str]) -> Workflow:
    return Workflow(name, tuple(Stage(*stage) for stage in stages))


WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        _workflow(
            "package_release",
            ("version_bump", "backend-engineer", 850, "package-release"),
            ("quality_validation", "testing-specialist", 650, "package-release"),
            ("publish_deploy", "devops-engineer", 550, "package-release"),
        ),
        _workflow(
            "feature_implementation",
            ("api_design", "backend-engineer", 800, "feature-implementation"),
            ("frontend_components", "frontend-engineer", 900, "feature-implementation"),
            ("testing_validation", "testing-specialist", 700, "feature-implementation"),
        ),
        _workflow(
            "bug_fix",
            ("investigation", "observability-expert", 800, "bug-investigation"),
            ("implement_fix", "backend-engineer", 900, "bug-fix"),
            ("testing_validation", "testing-specialist", 600, "bug-validation"),
        ),
        _workflow(
            "incident_response",
            ("investigation", "observability-expert", 1820, "incident-response"),
            ("hotfix", "backend-engineer", 1850, "incident-response"),
            ("deploy", "devops-engineer", 1640, "incident-response"),
        ),
    )
}

CHATMODES: frozenset[str] = frozenset(s.chatmode for w in WORKFLOWS.values() for s in w.stages) | {"default"}
STAGES: frozenset[str] = frozenset(s.name for w in WORKFLOWS.values() for s in w.stages)
# The model of simulated runs; real models use the free places of the label.
SIMULATED_MODEL = "simulated"
MODELS: frozenset[str] = frozenset({SIMULATED_MODEL})


def declared_chatmode(workflow: str, stage: str) -> str | None:
    """The chatmode that a declared workflow gives a stage, or None."""
    found = WORKFLOWS.get(workflow)
    if found is None:
        return None
    for candidate in found.stages:
        if candidate.name == stage:
            return candidate.chatmode
    modes = {candidate.chatmode for candidate in found.stages}
    return modes.pop() if len(modes) == 1 else None
