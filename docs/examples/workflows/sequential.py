"""Sequential: each stage works on the result of the one before it, and a failed gate stops the chain."""

from __future__ import annotations

from typing import Any

from llm import ask

from hypertool import QualityGateFailed, WorkflowTracer
from hypertool.patterns import Task, sequential


def design(feature: str) -> dict[str, Any]:
    ask(f"design {feature}", 800)
    return {"feature": feature, "endpoints": ["/orders"]}


def review(design: dict[str, Any]) -> dict[str, Any]:
    """The verdict is the persona's: `quality_gate_passed` in the result closes the gate."""
    ask(f"review {design['feature']}", 300)
    return {**design, "quality_gate_passed": "/refunds" in design["endpoints"], "quality_gate_reason": "no refunds"}


def build(design: dict[str, Any]) -> str:
    ask(f"build {design['feature']}", 900)
    return "built"


with WorkflowTracer("feature_implementation") as workflow:
    try:
        sequential(
            workflow,
            [
                Task("api_design", "backend-engineer", design),
                Task("design_review", "testing-specialist", review),
                Task("frontend_components", "frontend-engineer", build),
            ],
            "a shop",
        )
    except QualityGateFailed as failed:
        print(failed)
