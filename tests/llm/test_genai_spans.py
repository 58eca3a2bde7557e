"""GenAISpanProcessor: an application's own GenAI spans feed metrics and budgets, each call exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, Tracer

import hypertool
from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.otel import GenAISpanProcessor
from tests.llm.calls import CHAT, counted, durations

USAGE = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
TOKENS = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}


@pytest.fixture
def tracer(metrics: PersonaMetricsCollector) -> Iterator[Tracer]:
    """A tracer of an application whose provider has our processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(GenAISpanProcessor(metrics=metrics))
    yield provider.get_tracer("application")
    provider.shutdown()


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        (TOKENS, (100, 0, 0, 20, 0)),
        ({**TOKENS, "gen_ai.usage.cache_read.input_tokens": 40}, (60, 40, 0, 20, 0)),
        ({**TOKENS, "gen_ai.usage.cache_creation.input_tokens": 40}, (60, 0, 40, 20, 0)),
        ({**TOKENS, "gen_ai.usage.reasoning.output_tokens": 5}, (100, 0, 0, 15, 5)),
        ({**TOKENS, "gen_ai.usage.cache_read_input_tokens": 400}, (100, 400, 0, 20, 0)),
        ({"gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.completion_tokens": 3}, (7, 0, 0, 3, 0)),
        (
            {
                "openinference.span.kind": "LLM",
                "llm.token_count.prompt": 30,
                "llm.token_count.completion": 9,
                "llm.token_count.prompt_details.cache_read": 10,
                "llm.token_count.completion_details.reasoning": 4,
            },
            (20, 10, 0, 5, 4),
        ),
    ],
    ids=["plain", "cache_read", "cache_write", "reasoning", "exclusive", "first_names", "openinference"],
)
def test_span_usage_is_counted_in_parts(
    metrics: PersonaMetricsCollector, tracer: Tracer, attributes: dict[str, Any], parts: tuple[int, ...]
) -> None:
    """Usage under the names of each convention becomes the disjoint parts."""
    tracer.start_span("chat", attributes={**USAGE, **attributes}).end()
    found = {kind: tokens for (*_, kind), tokens in counted(metrics, "ltk").items()}
    kinds = ("input", "cache_read", "cache_write", "output", "reasoning")
    assert found == {kind: tokens for kind, tokens in zip(kinds, parts, strict=True) if tokens}
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 1}
    assert durations(metrics) == 1


def test_span_debits_the_persona_of_its_context(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """The persona is the agent's name if it is a known one, else the context's at the start of the span."""
    with hypertool.context(persona="backend-engineer"):
        span = tracer.start_span("chat", attributes={**USAGE, **TOKENS})
    span.end()
    tracer.start_span("chat", attributes={**USAGE, **TOKENS, "gen_ai.agent.name": "testing-specialist"}).end()
    assert metrics.get_remaining_budget("backend-engineer") == 2000 - 120
    assert metrics.get_remaining_budget("testing-specialist") == 1500 - 120


def test_agent_span_around_calls_is_not_counted(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """A span that sums up the calls inside it says nothing new."""
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}) as agent:
        with tracer.start_as_current_span("step"):
            for _ in range(2):
                tracer.start_span("chat", attributes={**USAGE, **TOKENS}).end()
        agent.set_attributes({"gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 40})
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 2}
    assert sum(counted(metrics, "tok").values()) == 240


def test_agent_span_alone_is_counted(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """Where nothing inside an agent's span is measured, its own usage is all there is."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m", **TOKENS}
    tracer.start_span("invoke_agent", attributes=attributes).end()
    assert sum(counted(metrics, "tok").values()) == 120


def test_second_span_of_a_response_is_not_counted(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """Two instrumentations of one client make two spans of one response id: one call."""
    for _ in range(2):
        tracer.start_span("chat", attributes={**USAGE, **TOKENS, "gen_ai.response.id": "r1"}).end()
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 1}


def test_sdk_span_inside_an_observed_call_is_that_call(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """A client that makes a span of its own (anthropic 2.14) inside an observed call is counted once, by us."""

    def ask(prompt: str) -> Any:
        tracer.start_span("chat", attributes={**USAGE, **TOKENS}).end()
        return CHAT

    ObservableLLM(ask, "outer", metrics=metrics)("x", persona="backend-engineer")
    assert counted(metrics, "llm") == {("backend-engineer", "outer", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 120


def test_spans_inside_an_unread_call_are_the_calls(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """Where the result of an observed call has no usage, the spans inside it count, and the call does not."""

    def run(prompt: str) -> str:
        for _ in range(2):
            tracer.start_span("chat", attributes={**USAGE, **TOKENS}).end()
        return "text"

    ObservableLLM(run, "framework", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 2}
    assert counted(metrics, "miss") == {}


@pytest.mark.parametrize(("error", "outcome"), [("TimeoutError", "error"), ("asyncio.CancelledError", "cancelled")])
def test_failed_span_is_a_failed_call(
    metrics: PersonaMetricsCollector, tracer: Tracer, error: str, outcome: str
) -> None:
    """A call that failed without usage counts as error or cancelled, and not as one without usage."""
    span = tracer.start_span("chat", attributes={**USAGE, "error.type": error})
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", outcome): 1}
    assert counted(metrics, "miss") == {}


@pytest.mark.parametrize("broken", [-1, True, 1.5, 10**13], ids=str)
def test_impossible_span_usage_is_missing(metrics: PersonaMetricsCollector, tracer: Tracer, broken: Any) -> None:
    """A count that is none is reported as invalid, never counted and never raised."""
    tracer.start_span("chat", attributes={**USAGE, **TOKENS, "gen_ai.usage.output_tokens": broken}).end()
    assert counted(metrics, "miss") == {("unknown", "gpt-4o", "invalid"): 1}


def test_other_spans_count_nothing(metrics: PersonaMetricsCollector, tracer: Tracer) -> None:
    """A span that is no LLM call is none."""
    with tracer.start_as_current_span("GET /"):
        tracer.start_span("execute_tool", attributes={"gen_ai.operation.name": "execute_tool"}).end()
    assert counted(metrics, "llm") == {}
