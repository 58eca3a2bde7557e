"""One response that passes two observed calls counts once, also where no context connects them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm.calls import twice
from tests.llm.calls import CHAT, counted

NAMELESS = {key: value for key, value in CHAT.items() if key != "id"}


@pytest.mark.parametrize("response", [CHAT, NAMELESS], ids=["by id", "by object"])
def test_inner_call_in_a_pool_counts_alone(metrics: PersonaMetricsCollector, response: Any) -> None:
    """An observed call in a pool's thread is the call; the observed one around it is its agent."""
    inner = ObservableLLM(lambda prompt: response, "inner", metrics=metrics)
    with ThreadPoolExecutor(1) as pool:
        outer = ObservableLLM(lambda prompt: pool.submit(inner, prompt).result(), "outer", metrics=metrics)
        assert outer("x") is response
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 120


def test_inner_call_in_an_executor_counts_alone(metrics: PersonaMetricsCollector) -> None:
    """The same for `run_in_executor`, where the response is a copy with the same id."""
    inner = ObservableLLM(lambda prompt: CHAT, "inner", metrics=metrics)

    async def ask(prompt: str) -> Any:
        return dict(await asyncio.get_running_loop().run_in_executor(None, inner, prompt))

    asyncio.run(ObservableLLM(ask, "outer", metrics=metrics)("x"))
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 1}


def test_calls_beside_each_other_all_count(metrics: PersonaMetricsCollector) -> None:
    """40 calls in 8 threads whose responses have one id, as those of a test's provider: 40 calls."""
    llm = ObservableLLM(lambda prompt: dict(CHAT), "m", metrics=metrics)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(llm, ["x"] * 40))
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 40}


def test_calls_after_each_other_all_count(metrics: PersonaMetricsCollector) -> None:
    """A response that another function gave before a call began is no response of a call inside it."""
    first = ObservableLLM(lambda prompt: CHAT, "first", metrics=metrics)
    second = ObservableLLM(lambda prompt: CHAT, "second", metrics=metrics)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(first, "x").result()
        second("x")
    assert len(counted(metrics, "llm")) == 2


def test_memory_of_responses_is_bounded(metrics: PersonaMetricsCollector) -> None:
    """A process that lives long remembers a fixed number of responses."""
    llm = ObservableLLM(lambda prompt: {**CHAT, "id": prompt}, "m", metrics=metrics)
    for number in range(2 * twice.REMEMBERED):
        llm(str(number))
    assert len(twice._by_id) == twice.REMEMBERED
