"""Of calls within calls one counts: the innermost that has usage."""

from __future__ import annotations

from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from tests.llm.calls import CHAT, counted


def test_the_innermost_call_with_usage_is_the_only_one_that_counts(metrics: PersonaMetricsCollector) -> None:
    inner = ObservableLLM(lambda prompt: CHAT, "inner", metrics=metrics)
    outer = ObservableLLM(lambda prompt: inner(prompt), "outer", metrics=metrics)
    around = ObservableLLM(lambda prompt: outer(prompt), "around", metrics=metrics)
    assert around("x", persona="backend-engineer") is CHAT
    # The innermost call was not told whose it is: nothing of the enclosing call's own arguments is its.
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 120


def test_an_inner_call_without_usage_gives_way_to_the_enclosing_one_that_has_it(
    metrics: PersonaMetricsCollector,
) -> None:
    inner = ObservableLLM(lambda prompt: "text", "inner", metrics=metrics)

    def outer(prompt: str) -> Any:
        inner(prompt)
        return CHAT

    ObservableLLM(outer, "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "outer", "success"): 1}
    assert counted(metrics, "miss") == {}


def test_without_any_usage_the_innermost_calls_are_the_calls(metrics: PersonaMetricsCollector) -> None:
    inner = ObservableLLM(lambda prompt: "text", "inner", metrics=metrics)
    ObservableLLM(lambda prompt: inner(prompt) + inner(prompt), "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 2}


def test_an_error_that_passes_two_wrappers_is_one_failed_request(metrics: PersonaMetricsCollector) -> None:
    inner = ObservableLLM(lambda prompt: 1 / 0, "inner", metrics=metrics)
    with pytest.raises(ZeroDivisionError):
        ObservableLLM(lambda prompt: inner(prompt), "outer", metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "inner", "error"): 1}
