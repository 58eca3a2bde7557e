"""Retry with backoff: a provider fails twice; all three attempts are paid for, and all three are seen."""

from __future__ import annotations

from llm import ask
from tenacity import stop_after_attempt, wait_random_exponential

from hypertool import WorkflowTracer
from hypertool.patterns import retried

failures = iter(["429 too many requests", "connection reset"])


@retried(stop=stop_after_attempt(5), wait=wait_random_exponential(multiplier=0.05, max=1))
def summarise(text: str) -> str:
    answer = ask(f"summarise {text}", 120)["text"]
    for failure in failures:
        raise ConnectionError(failure)
    return answer


with WorkflowTracer("bug_fix") as workflow:
    print(workflow.trace_stage("investigation", "observability-expert", summarise, "the log"))
