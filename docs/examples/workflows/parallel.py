"""Parallel: three personas work at the same time, and a join merges what they found."""

from __future__ import annotations

from llm import ask

from hypertool import WorkflowTracer
from hypertool.patterns import Task, parallel


def reviewer(subject: str, persona: str, tokens: int) -> Task:
    return Task(f"review_{subject}", persona, lambda change: ask(f"{subject} of {change}", tokens)["text"])


with WorkflowTracer("code_review") as workflow:
    findings = parallel(
        workflow,
        [
            reviewer("security", "backend-engineer", 400),
            reviewer("usability", "frontend-engineer", 300),
            reviewer("coverage", "testing-specialist", 200),
        ],
        "pull request 7",
    )
    with workflow.stage_context("join", "devops-engineer"):
        ask("merge: " + "; ".join(findings), 150)
print("\n".join(findings))
