"""CrewAI's crews: a run is measured by the counters of its models, before and after.

The usage in a crew's output is the sum of those counters since the models were made, and a model that two agents share
is in it twice. Each counter grows with every call of its model, so the difference is exact unless another run uses the
same model at the same time.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from ..reading.classes import base_named
from ..reading.extract import extract
from .call import Call

_CREWS = {("crewai", "Crew"): True}
_AGENTS = ("llm", "function_calling_llm")
_CREW = ("manager_llm", "function_calling_llm", "planning_llm", "chat_llm")

Counters = dict[int, tuple[Any, dict[str, int]]]


class CrewRun(NamedTuple):
    """What a crew returned, and what the run has used so far."""

    result: Any
    used: Callable[[], dict[str, int]]


def measured(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, returning a `CrewRun` if it is a method of a crew whose models can be read; else itself."""
    crew = getattr(function, "__self__", None)
    if crew is None or base_named(type(crew), _CREWS) is None or not _counters(crew):
        return function
    if inspect.iscoroutinefunction(function):

        async def later(*arguments: Any, **named: Any) -> CrewRun:
            before = _counters(crew)
            return CrewRun(await function(*arguments, **named), partial(_since, before, crew))

        return later

    def now(*arguments: Any, **named: Any) -> CrewRun:
        before = _counters(crew)
        return CrewRun(function(*arguments, **named), partial(_since, before, crew))

    return now


def finish(call: Call, run: CrewRun) -> Any:
    """Count the run, a streamed one at its end; the caller gets what the crew returned."""
    result = run.result
    if isinstance(getattr(result, "__dict__", None), dict) and "_sync_iterator" in vars(result):
        if result._sync_iterator is not None:
            result._sync_iterator = _steps(result._sync_iterator, call, run)
        if result._async_iterator is not None:
            result._async_iterator = _steps_later(result._async_iterator, call, run)
    else:
        call.finish(extract({"usage": run.used()}), output=result)
    return result


def _steps(chunks: Iterator[Any], call: Call, run: CrewRun) -> Iterator[Any]:
    try:
        yield from chunks
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish(extract({"usage": run.used()}))


async def _steps_later(chunks: AsyncIterator[Any], call: Call, run: CrewRun) -> AsyncIterator[Any]:
    try:
        async for chunk in chunks:
            yield chunk
    except BaseException as error:
        call.finish(None, error)
        raise
    call.finish(extract({"usage": run.used()}))


def _counters(crew: Any) -> Counters:
    """The counters of each model of the crew, by the identity of the model."""
    found: Counters = {}
    for model in _models(crew):
        summary = getattr(model, "get_token_usage_summary", None)
        if summary is not None and id(model) not in found:
            counts = {name: value for name, value in dict(summary()).items() if type(value) is int}
            found[id(model)] = (model, counts)
    return found


def _models(crew: Any) -> Iterable[Any]:
    agents = [*getattr(crew, "agents", ()), getattr(crew, "manager_agent", None)]
    for owner, names in (*((agent, _AGENTS) for agent in agents), (crew, _CREW)):
        for name in names:
            yield getattr(owner, name, None)


def _since(before: Counters, crew: Any) -> dict[str, int]:
    """What the models have counted since `before`, models that came since included."""
    record: dict[str, int] = {}
    for key, (_, counts) in _counters(crew).items():
        old = before[key][1] if key in before else {}
        for name, value in counts.items():
            if name != "successful_requests":
                record[name] = record.get(name, 0) + value - old.get(name, 0)
    return record
