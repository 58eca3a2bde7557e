"""A budget that blocks refuses before the call is made, and gives back what a call did not use."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector, TokenBudgetExceeded, observe_llm
from tests.llm.calls import CHAT, CHUNK, LAST, counted, durations, stream


def test_block_refuses_when_nothing_is_left(metrics: PersonaMetricsCollector) -> None:
    """With nothing left, `block` refuses, and the call is not made."""
    made: list[str] = []

    def ask(prompt: str) -> Any:
        made.append(prompt)
        return {**CHAT, "usage": {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100}}

    llm = ObservableLLM(ask, "m", metrics=metrics, default_persona="strict")
    llm("one")
    with pytest.raises(TokenBudgetExceeded):
        llm("two")
    assert made == ["one"]
    assert counted(metrics, "llm") == {("strict", "m", "success"): 1, ("strict", "m", "blocked"): 1}
    assert durations(metrics) == 1


def test_concurrent_calls_overshoot_by_at_most_one(metrics: PersonaMetricsCollector) -> None:
    @observe_llm("m", persona="strict", metrics=metrics)
    async def ask(prompt: str, max_tokens: int) -> Any:
        await asyncio.sleep(0)  # let the other nine begin
        return {**CHAT, "usage": {"prompt_tokens": 0, "completion_tokens": 400, "total_tokens": 400}}

    async def work() -> list[Any]:
        return await asyncio.gather(*(ask("", max_tokens=400) for _ in range(10)), return_exceptions=True)

    results = asyncio.run(work())
    assert sum(isinstance(result, TokenBudgetExceeded) for result in results) == 7
    assert metrics.get_remaining_budget("strict") == 1000 - 3 * 400


def test_reservation_is_returned_however_a_call_ends(metrics: PersonaMetricsCollector) -> None:
    """A reservation is given back however the call ends."""

    def fail(prompt: str) -> Any:
        raise OSError

    for _ in range(5):
        with pytest.raises(OSError):  # noqa: PT011 - which one does not matter
            ObservableLLM(fail, "m", metrics=metrics, default_persona="strict")("x")
        running = ObservableLLM(stream(CHUNK, LAST), "m", metrics=metrics, default_persona="strict")("x")
        next(running)
        running.close()
    assert ObservableLLM(lambda p: CHAT, "m", metrics=metrics, default_persona="strict")("x") is CHAT


def test_wrong_arguments_reserve_nothing(metrics: PersonaMetricsCollector) -> None:
    """An async function called with wrong arguments raises before it runs; its reservation is given back."""

    @observe_llm("m", persona="strict", metrics=metrics)
    async def ask(prompt: str) -> Any:
        return CHAT

    async def work() -> Any:
        for _ in range(5):
            with pytest.raises(TypeError, match="positional"):
                await ask("x", "y")  # type: ignore[call-arg]
        return await ask("x")

    assert asyncio.run(work()) is CHAT
    assert counted(metrics, "llm")["strict", "m", "error"] == 5


def test_enclosing_call_does_not_block_its_inner_one(metrics: PersonaMetricsCollector) -> None:
    """An enclosing call does not block the call that it makes."""
    inner = ObservableLLM(lambda prompt: CHAT, "m", metrics=metrics, default_persona="strict")
    outer = ObservableLLM(lambda prompt: inner(prompt), "m", metrics=metrics, default_persona="strict")
    assert outer("x") is CHAT
    assert metrics.get_remaining_budget("strict") == 1000 - 120


def test_each_threshold_is_reported_once(metrics: PersonaMetricsCollector, caplog: pytest.LogCaptureFixture) -> None:
    """80 and 100 per cent are reported once each."""
    caplog.set_level("INFO", "hypertool")
    llm = ObservableLLM(lambda p: CHAT, "m", metrics=metrics, default_persona="testing-specialist")
    for _ in range(15):  # 120 tokens each, of 1,500
        llm("x")
    said = [record.getMessage() for record in caplog.records if "% of its budget" in record.getMessage()]
    assert said == [
        f"testing-specialist has used {share} % of its budget of 1500 tokens (window: run)" for share in (80, 100)
    ]
    assert counted(metrics, "exc") == {("testing-specialist",): 1}
