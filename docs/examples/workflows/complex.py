"""All together: a router, a circuit breaker with a fallback, and a memory that the personas share."""

from __future__ import annotations

import pybreaker
from llm import ask

from hypertool import WorkflowTracer
from hypertool.patterns import Guard, Router, SharedMemory, fallback

memory = SharedMemory()
large_model = Guard(pybreaker.CircuitBreaker(fail_max=2, reset_timeout=30, name="large model"))


@large_model
def ask_large(question: str) -> str:
    ask(question, 300)
    raise TimeoutError("the large model is down")


def ask_small(question: str) -> str:
    answer: str = ask(question, 100)["text"]
    memory.remember(question, answer)
    return answer


def classify(question: str) -> str:
    ask(f"which kind: {question}", 20)
    return "hard" if "why" in question else "easy"


router = Router(
    classify,
    {
        "easy": lambda question: memory.recall(question) or ask_small(question),
        "hard": fallback(large=ask_large, small=ask_small),
    },
)

with WorkflowTracer("support") as workflow:
    with workflow.stage_context("triage", "observability-expert"):
        for question in ("why does it fail?", "why is it slow?", "why is it red?"):
            print(f"{router(question)}  (large model: {large_model.state})")
    with workflow.stage_context("answer", "backend-engineer"):
        print(memory.recall("why is it red?"), "(from memory)")
