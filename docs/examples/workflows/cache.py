"""Cache: the second persona asks the same and pays nothing; `cachetools.TTLCache` in place of the dict bounds it."""

from __future__ import annotations

from llm import ask

from hypertool import WorkflowTracer
from hypertool.patterns import cached


@cached({}, key=lambda question: " ".join(question.lower().split()))
def explain(question: str) -> str:
    return ask(question, 500)["text"]


with WorkflowTracer("bug_fix") as workflow:
    first = workflow.trace_stage("investigation", "observability-expert", explain, "Why is the cart empty?")
    again = workflow.trace_stage("implement_fix", "backend-engineer", explain, "why is the cart  empty?")
    print(first == again, first)
