"""Of calls within calls one counts: the innermost that has usage."""

from __future__ import annotations

from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from tests.llm.calls import CHAT, counted


def test_innermost_call_with_usage_counts_alone(metrics: PersonaMetricsCollector) -> None:
    """The innermost call with usage is the only one that counts."""
    inner = ObservableLLM(lambda prompt: CHAT, "inner", metrics=metrics)
    outer = ObservableLLM(lambda prompt: inner(prompt), "outer", metrics=metrics)
    around = ObservableLLM(lambda prompt: outer(prompt), "around", metrics=metrics)
    assert around("x", persona="backend-engineer") is CHAT
    # The innermost call was not told whose it is: nothing of the enclosing call's own arguments is its.
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 120


def test_inner_call_without_usage_gives_way(
    metrics: PersonaMetricsCollector,
) -> None:
    """An inner call without usage gives way to the enclosing one that has it."""
    inner = ObservableLLM(lambda prompt: "text", "inner", metrics=metrics)

    def outer(prompt: str) -> Any:
        inner(prompt)
        return CHAT

    ObservableLLM(outer, "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "outer", "success"): 1}
    assert counted(metrics, "miss") == {}


def test_innermost_calls_count_without_any_usage(metrics: PersonaMetricsCollector) -> None:
    """Where no call has usage, the innermost ones are the calls."""
    inner = ObservableLLM(lambda prompt: "text", "inner", metrics=metrics)
    ObservableLLM(lambda prompt: inner(prompt) + inner(prompt), "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 2}


def test_error_through_two_wrappers_is_one_failure(metrics: PersonaMetricsCollector) -> None:
    """An error that passes two wrappers is one failed request."""
    inner = ObservableLLM(lambda prompt: 1 / 0, "inner", metrics=metrics)
    with pytest.raises(ZeroDivisionError):
        ObservableLLM(lambda prompt: inner(prompt), "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "inner", "error"): 1}
