"""Generators, async generators and futures are measured to their end, and stay what they are."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector, observe_llm
from hypertool.llm.calls.call import _CALL
from tests.llm.calls import CHAT, CHUNK, LAST, counted, stream


def test_a_generator_counts_when_it_is_exhausted(metrics: PersonaMetricsCollector) -> None:
    llm = ObservableLLM(stream(CHUNK, CHUNK, LAST), "gpt-4o", metrics=metrics)
    running = llm("x", persona="backend-engineer")
    assert next(running) is CHUNK
    assert _CALL.get() is None, "the caller works for no call between the chunks"
    assert counted(metrics, "llm") == {}
    assert list(running) == [CHUNK, LAST]
    assert counted(metrics, "llm") == {("backend-engineer", "gpt-4o", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 15


@pytest.mark.parametrize(("taken", "outcome", "missing"), [(1, "cancelled", 1), (2, "success", 0)])
def test_stopping_before_the_final_usage_cancels(
    metrics: PersonaMetricsCollector, taken: int, outcome: str, missing: int
) -> None:
    """Who stops before the final usage has cancelled the call."""
    running = ObservableLLM(stream(CHUNK, LAST, CHUNK), "m", metrics=metrics)("x")
    for _ in range(taken):
        next(running)
    del running
    gc.collect()
    assert counted(metrics, "llm") == {("unknown", "m", outcome): 1}
    assert sum(counted(metrics, "miss").values()) == missing
    assert _CALL.get() is None


def test_generator_never_started_made_no_call(metrics: PersonaMetricsCollector) -> None:
    """A generator that was never started made no call."""
    ObservableLLM(stream(CHUNK), "m", metrics=metrics)("x").close()
    assert counted(metrics, "llm") == {}


def test_a_stream_that_fails_is_an_error(metrics: PersonaMetricsCollector) -> None:
    running = ObservableLLM(stream(CHUNK, error=OSError("cut")), "m", metrics=metrics)("x")
    with pytest.raises(OSError, match="cut"):
        list(running)
    assert counted(metrics, "llm") == {("unknown", "m", "error"): 1}


def test_generators_pass_on_send_throw_and_return(metrics: PersonaMetricsCollector) -> None:
    """Generators pass on what is sent, thrown and returned."""

    @observe_llm("m", metrics=metrics)
    def talk(prompt: str) -> Any:
        try:
            heard = yield 1
        except KeyError:
            heard = yield "caught"
        return heard

    running = talk("x")
    next(running)
    assert running.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as end:
        running.send("said")
    assert end.value.value == "said"


def test_async_generators_ended_left_and_cancelled(metrics: PersonaMetricsCollector) -> None:
    """Async generators are counted when they are exhausted, abandoned or cancelled."""

    @observe_llm("m", metrics=metrics)
    async def generate(prompt: str) -> AsyncIterator[Any]:
        yield CHUNK
        if prompt == "endless":
            await asyncio.Event().wait()
        yield LAST

    async def work() -> None:
        assert [chunk async for chunk in generate("x")] == [CHUNK, LAST]
        async for _ in generate("x"):
            break
        assert _CALL.get() is None

        async def consume() -> None:
            async for _ in generate("endless"):
                started.set()

        started = asyncio.Event()
        task = asyncio.create_task(consume())
        await asyncio.wait_for(started.wait(), 30)  # its first chunk
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    gc.collect()
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 1, ("unknown", "m", "cancelled"): 2}


def test_lookalike_of_a_stream_is_the_same_object(metrics: PersonaMetricsCollector) -> None:
    """An object that only looks like a stream is returned unchanged."""

    for thing in (io.StringIO("a"), iter([1]), [CHUNK], range(3)):
        assert ObservableLLM(lambda p, thing=thing: thing, "m", metrics=metrics)("x") is thing


def test_futures_are_unchanged_and_counted_at_the_end(metrics: PersonaMetricsCollector) -> None:
    """Futures are returned unchanged and are counted when they end."""

    async def work() -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        returned = ObservableLLM(lambda p: future, "m", metrics=metrics)("x")
        assert returned is future
        future.set_result(CHAT)
        assert await returned is CHAT
        await asyncio.sleep(0)

    asyncio.run(work())
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 1}


def _like_openais(iterator: Any, later: bool) -> Any:
    """A stream with the two ways of OpenAI's: a generator for a loop, and a step for who asks it itself."""

    def steps(stream: Any) -> Any:
        yield from stream._iterator

    async def later_steps(stream: Any) -> Any:
        async for chunk in stream._iterator:
            yield chunk

    name, loop = ("AsyncStream", {"__aiter__": later_steps}) if later else ("Stream", {"__iter__": steps})
    made = type(name, (), {"__module__": "openai", "response": "kept", **loop})()
    made._iterator = iterator
    return made


@pytest.mark.parametrize("left", [1, 0], ids=["taken up again", "left"])
@pytest.mark.parametrize("later", [True, False], ids=["async", "sync"])
def test_loop_that_is_broken_off(metrics: PersonaMetricsCollector, later: bool, left: int) -> None:
    """Who breaks a loop off may go on with another; a stream that nobody holds any more ends its call at once."""

    async def chunks() -> AsyncIterator[Any]:
        for chunk in (CHUNK, CHUNK, LAST):
            yield chunk

    def ask(prompt: str) -> Any:
        return _like_openais(chunks() if later else iter([CHUNK, CHUNK, LAST]), later)

    async def consume() -> None:
        got = ObservableLLM(ask, "m", metrics=metrics)("x")
        loop = got.__aiter__() if later else iter(got)
        assert (loop.response, await anext(loop) if later else next(loop)) == ("kept", CHUNK)
        if left:
            rest = [one async for one in got] if later else list(got)
            assert rest == [CHUNK, LAST]
        del got
        assert counted(metrics, "llm") == ({("unknown", "m", "success"): 1} if left else {})
        del loop
        assert sum(counted(metrics, "llm").values()) == 1

    asyncio.run(consume())
    assert counted(metrics, "llm") == {("unknown", "m", "success" if left else "cancelled"): 1}
    assert sum(counted(metrics, "tok").values()) == 15 * left
