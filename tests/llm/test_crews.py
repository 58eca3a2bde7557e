"""A wrapped crew counts what the run has used, although CrewAI's output repeats what came before.

CrewAI cannot share an environment with the newest OpenAI SDK, so the classes here stand for its own: the package, the
class names and what a run reads of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm import Usage, extract
from tests.llm.calls import counted, isolated, metrics

__all__ = ["isolated", "metrics"]
_CALL = {"prompt_tokens": 100, "cached_prompt_tokens": 40, "completion_tokens": 20, "reasoning_tokens": 5}


class Model:
    """A model that counts from the day it was made."""

    def __init__(self) -> None:
        self.calls = 0

    def get_token_usage_summary(self) -> dict[str, int]:
        counts = {**_CALL, "total_tokens": 120, "cache_creation_tokens": 0, "successful_requests": 1}
        return {name: value * self.calls for name, value in counts.items()}


class Stream:
    """What a streaming crew returns: its calls are made while it is read."""

    def __init__(self, sync: Any = None, later: Any = None) -> None:
        self._sync_iterator, self._async_iterator = sync, later


class Crew:
    """A crew that calls the model of each agent once."""

    def __init__(self, *models: Model) -> None:
        self.agents = [SimpleNamespace(llm=model) for model in models]

    def kickoff(self) -> Any:
        for agent in self.agents:
            agent.llm.calls += 1
        summed: dict[str, int] = {}
        for agent in self.agents:
            for name, value in agent.llm.get_token_usage_summary().items():
                summed[name] = summed.get(name, 0) + value
        return SimpleNamespace(tasks_output=[], token_usage=summed)

    async def akickoff(self) -> Any:
        return self.kickoff()

    def kickoff_for_each(self, inputs: list[Any]) -> list[Any]:
        return [self.kickoff() for _ in inputs]

    def stream(self) -> Stream:
        def chunks() -> Iterator[int]:
            yield 1
            self.kickoff()
            yield 2

        return Stream(chunks())

    def astream(self) -> Stream:
        async def chunks() -> AsyncIterator[int]:
            yield 1
            self.kickoff()

        return Stream(later=chunks())


Crew.__module__ = "crewai.crew"


def _total(metrics: PersonaMetricsCollector) -> int:
    return sum(counted(metrics, "tok").values())


def test_second_run_counts_its_own_calls(metrics: PersonaMetricsCollector) -> None:
    """Two runs of one crew count 120 each; the second output says 240."""
    run = ObservableLLM(Crew(Model()).kickoff, "m", metrics=metrics)
    run()
    assert run().token_usage["total_tokens"] == 240
    assert _total(metrics) == 240


def test_shared_model_counts_once(metrics: PersonaMetricsCollector) -> None:
    """Two agents with one model make two calls; the output says four."""
    model = Model()
    ObservableLLM(Crew(model, model).kickoff, "m", metrics=metrics)()
    assert _total(metrics) == 240


def test_parts_of_a_run(metrics: PersonaMetricsCollector) -> None:
    """Cached and reasoning tokens are parts of what the models counted."""
    ObservableLLM(Crew(Model(), Model()).kickoff, "m", metrics=metrics)()
    kinds = {key[-1]: value for key, value in counted(metrics, "ltk").items()}
    assert kinds == {"input": 120, "cache_read": 80, "output": 30, "reasoning": 10}


@pytest.mark.parametrize("method", ["akickoff", "kickoff_for_each"])
def test_other_ways_to_run(metrics: PersonaMetricsCollector, method: str) -> None:
    """The async run, and one run for each of several inputs."""
    run = ObservableLLM(getattr(Crew(Model()), method), "m", metrics=metrics)
    if method == "akickoff":
        asyncio.run(run())
    else:
        run(inputs=[1])
    assert _total(metrics) == 120


def test_streamed_run_counts_at_its_end(metrics: PersonaMetricsCollector) -> None:
    """A streaming crew has used nothing when it returns; the end of its stream counts."""
    assert list(ObservableLLM(Crew(Model()).stream, "m", metrics=metrics)()._sync_iterator) == [1, 2]
    assert _total(metrics) == 120


def test_async_streamed_run(metrics: PersonaMetricsCollector) -> None:
    """The same for `async for`."""

    async def read() -> list[int]:
        return [one async for one in ObservableLLM(Crew(Model()).astream, "m", metrics=metrics)()._async_iterator]

    assert asyncio.run(read()) == [1]
    assert _total(metrics) == 120


def test_agent_of_its_own() -> None:
    """An agent's own result has the usage of its run only."""
    result = {"raw": "x", "agent_role": "r", "messages": [{"role": "user"}], "usage_metrics": _CALL}
    assert extract(result).usage == Usage(60, 40, 0, 15, 5)
