"""However it is called: personas never mix, spans have the right parent, the caller's context stays clean."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import hypertool
from hypertool import PersonaMetricsCollector, WorkflowTracer, observe_llm
from hypertool.llm.calls.call import _CALL
from hypertool.recording.ambient import current_place
from tests.llm.calls import CHAT, CHUNK, LAST, counted
from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver, Received
from tests.support.sinks import HEAD

ERROR = 2
PERSONAS = ["backend-engineer", "testing-specialist", "devops-engineer", "frontend-engineer"]


def test_concurrent_stages_of_one_run_never_mix() -> None:
    shared = hypertool.get_persona_metrics()
    personas = ["backend-engineer", "testing-specialist", "devops-engineer", "frontend-engineer"] * 5

    @observe_llm("gather")
    async def ask(prompt: str) -> Any:
        await asyncio.sleep(0.001)
        return CHAT

    async def work() -> None:
        async with WorkflowTracer("w") as workflow:

            async def one(number: int) -> None:
                async with workflow.stage_context(f"s{number}", personas[number]):
                    await asyncio.sleep(0.001)
                    await ask(personas[number])

            await asyncio.gather(*(one(number) for number in range(len(personas))))

    asyncio.run(work())
    found = {key[0]: tokens for key, tokens in counted(shared, "tok").items() if key[2] == "gather"}
    assert found == dict.fromkeys(personas, 600)


def test_personas_of_concurrent_calls_never_mix() -> None:
    """Tasks, threads, generators and async generators of four personas, all at once and step by step in turns."""
    shared = hypertool.get_persona_metrics()

    @observe_llm("mixed")
    async def ask(prompt: str) -> Any:
        await asyncio.sleep(0.001)
        return CHAT

    @observe_llm("mixed")
    def in_thread(prompt: str) -> Any:
        return CHAT

    @observe_llm("mixed")
    def steps(prompt: str) -> Any:
        yield CHUNK
        yield LAST

    @observe_llm("mixed")
    async def async_steps(prompt: str) -> Any:
        yield CHUNK
        await asyncio.sleep(0.001)
        yield LAST

    async def one(persona: str) -> None:
        with hypertool.context(persona=persona, chatmode="bug-fix"):
            running, later = steps("x"), async_steps("x")
            for turn in range(2):
                next(running)
                await anext(later)
                await asyncio.sleep(0.001 * turn)
                assert current_place() == (persona, "bug-fix")
            await asyncio.gather(ask("x"), asyncio.to_thread(in_thread, "x"), ask("x"))
            assert list(running) == []
            assert [chunk async for chunk in later] == []

    async def work() -> None:
        await asyncio.gather(*(one(persona) for persona in PERSONAS * 5))

    asyncio.run(work())
    found = {key: tokens for key, tokens in counted(shared, "tok").items() if key[2] == "mixed"}
    assert found == {(persona, "bug-fix", "mixed"): 5 * (3 * 120 + 2 * 15) for persona in PERSONAS}
    assert counted(shared, "llm") | {(p, "mixed", "success"): 25 for p in PERSONAS} == counted(shared, "llm")


def test_abandoned_generator_leaves_no_context(metrics: PersonaMetricsCollector) -> None:
    """An abandoned generator leaves nothing in its caller's context."""

    @observe_llm("m", metrics=metrics)
    def steps(prompt: str) -> Any:
        while True:
            assert _CALL.get() is not None
            yield CHUNK

    @observe_llm("m", metrics=metrics)
    async def async_steps(prompt: str) -> Any:
        while True:
            yield CHUNK

    before = (_CALL.get(), *current_place())
    with hypertool.context(persona="backend-engineer"):
        running = steps("x")
        next(running)
        assert _CALL.get() is None
    del running
    gc.collect()

    async def work() -> None:
        async for _ in async_steps("x"):
            break
        assert _CALL.get() is None
        cut = async_steps("x")
        await anext(cut)
        other = asyncio.create_task(cut.aclose())  # closed by another task, in another context
        await other
        assert _CALL.get() is None

    asyncio.run(work())
    gc.collect()
    assert (_CALL.get(), *current_place()) == before
    assert sum(counted(metrics, "llm").values()) == 3
    assert {key[2] for key in counted(metrics, "llm")} == {"cancelled"}


# Spans

CONTEXTS = {
    "gather": "await asyncio.gather(ask('x'), ask('x'))",
    "a task": "await asyncio.create_task(ask('x'))",
    "to_thread": "await asyncio.to_thread(llm, 'x')",
    "the executor": "with WorkflowExecutor() as pool: pool.submit(llm, 'x').result()",
    "the executor's map": "with WorkflowExecutor() as pool: list(pool.map(llm, ['x', 'x']))",
    "the loop's executor": "with WorkflowExecutor() as pool:\n        "
    "await asyncio.get_running_loop().run_in_executor(pool, llm, 'x')",
    "a generator": "assert len(list(steps('x'))) == 2",
    "a generator that is read later": "running = steps('x'); next(running); LATER.append(running)",
    "a generator read by a thread": "running = steps('x'); await asyncio.to_thread(list, running)",
    "an async generator": "assert [c async for c in async_steps('x')] == [CHUNK, LAST]",
    "an abandoned generator": "running = steps('x'); next(running); running.close(); llm('x')",
    "an abandoned async generator": "async for _ in async_steps('x'): break\n    llm('x')",
    "an async generator that nobody finishes": "running = async_steps('x'); await anext(running); del running",
}

PROGRAM = (
    HEAD
    + """
from opentelemetry import trace
LATER = []

@observe_llm("gpt-4o")
async def ask(prompt):
    await asyncio.sleep(0)
    return REPLY

@observe_llm("gpt-4o")
def steps(prompt):
    yield CHUNK
    yield LAST

@observe_llm("gpt-4o")
async def async_steps(prompt):
    yield CHUNK
    await asyncio.sleep(0)
    yield LAST

async def body():
    BODY

async def one(workflow, name):
    async with workflow.stage_context(name, "backend"):
        before = trace.get_current_span()
        await body()
        assert trace.get_current_span() is before

async def work():
    async with WorkflowTracer("w") as workflow:
        await asyncio.gather(one(workflow, "first"), one(workflow, "second"))
        for running in LATER:
            list(running)  # its stage is over: it still belongs there
        assert trace.get_current_span().name == "workflow.w"
asyncio.run(work())
assert spans.sink().flush(20)
"""
)


@pytest.mark.parametrize("where", CONTEXTS)
def test_parent_of_a_call_is_the_stage_that_made_it(where: str, host: Host, receiver: OtlpReceiver) -> None:
    """The parent of every call is the stage that made it."""
    done = host.python(PROGRAM.replace("BODY", CONTEXTS[where]), OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.returncode == 0, done.stderr
    receiver.wait(5)
    stages = {receiver.by_name(f"stage.{name}").span_id for name in ("first", "second")}
    calls: list[Received] = [span for span in receiver.spans if span.name == "chat gpt-4o"]
    assert len(calls) >= 2
    assert {call.parent_id for call in calls} == stages
    assert {call.trace_id for call in calls} == {receiver.by_name("workflow.w").trace_id}
    assert len([call for call in calls if call.parent_id in stages]) % 2 == 0, "as many in either stage"


def test_cancelled_call_is_an_error_as_is_its_stage(host: Host, receiver: OtlpReceiver) -> None:
    """A cancelled call is an error, and so is its stage."""
    done = host.python(
        HEAD
        + """
begun = asyncio.Event()

@observe_llm("gpt-4o")
async def slow(prompt):
    begun.set()
    await asyncio.sleep(60)

async def work():
    async with WorkflowTracer("w") as workflow:
        async def staged():
            async with workflow.stage_context("s", "backend"):
                await slow("x")
        task = asyncio.create_task(staged())
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
asyncio.run(work())
assert spans.sink().flush(20)
""",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert done.returncode == 0, done.stderr
    receiver.wait(3)
    for name in ("chat gpt-4o", "stage.s"):
        span = receiver.by_name(name)
        assert span.status == ERROR
        assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert receiver.by_name("chat gpt-4o").attributes["hypertool.outcome"] == "cancelled"
    assert host.counters("qg") == {("w", "s", "fail"): 1}
