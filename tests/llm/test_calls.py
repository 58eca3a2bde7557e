"""Every call is measured once, and its caller sees nothing of it: values, signatures, exceptions, context."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import hypertool
from hypertool import ObservableLLM, PersonaMetricsCollector, TokenBudgetExceeded, WorkflowTracer, observe_llm
from hypertool.catalogue import Catalogue, Persona
from hypertool.llm.call import _CALL
from hypertool.llm.usage import Usage

CHAT = {"model": "gpt-4o-2024-08-06", "id": "c1", "object": "chat.completion",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}}
LAST = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
CHUNK = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"delta": {"content": "x"}}]}


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """Settings of its own for every test."""


@pytest.fixture
def metrics() -> PersonaMetricsCollector:
    personas = [Persona("backend-engineer", 2000), Persona("testing-specialist", 1500),
                Persona("strict", 1000, on_exceed="block")]
    return PersonaMetricsCollector(CollectorRegistry(), catalogue=Catalogue({p.name: p for p in personas}, 0.0))


def counted(metrics: PersonaMetricsCollector, key: str) -> dict[tuple[str, ...], int]:
    return {k[1:]: c.value for k, c in metrics.recorder.counters.items() if k[0] == key and c.value}


def durations(metrics: PersonaMetricsCollector) -> int:
    return sum(sum(h.buckets) for k, h in metrics.recorder.histograms.items() if k[0] == "lld")


def test_one_call_is_one_request_its_tokens_its_cost_and_its_budget(metrics: PersonaMetricsCollector) -> None:
    llm = ObservableLLM(lambda prompt: CHAT, "gpt-4o", metrics=metrics)
    assert llm("hello", persona="backend-engineer", chatmode="bug-fix") is CHAT
    assert counted(metrics, "llm") == {("backend-engineer", "gpt-4o", "success"): 1}
    assert counted(metrics, "tok") == {("backend-engineer", "bug-fix", "gpt-4o"): 120}
    assert counted(metrics, "usd") == {("backend-engineer", "gpt-4o"): 100 * 2500 + 20 * 10000}
    assert durations(metrics) == 1
    assert metrics.get_remaining_budget("backend-engineer") == 2000 - 120


def test_a_call_of_nobody_is_unknown_and_debits_no_budget(metrics: PersonaMetricsCollector) -> None:
    assert ObservableLLM(lambda p: CHAT, "gpt-4o", metrics=metrics)("x") is CHAT
    assert counted(metrics, "tok") == {("unknown", "default", "gpt-4o"): 120}
    assert metrics.get_remaining_budget("backend-engineer") == 2000


def test_usage_that_is_not_known_is_missing_and_not_zero(metrics: PersonaMetricsCollector) -> None:
    ObservableLLM(lambda p: "text", "m", metrics=metrics)("x")
    assert counted(metrics, "miss") == {("unknown", "m", "no_usage"): 1}
    assert counted(metrics, "tok") == {}


def test_an_unknown_persona_is_an_error_before_the_function_is_called(metrics: PersonaMetricsCollector) -> None:
    called: list[str] = []
    llm = ObservableLLM(called.append, "m", metrics=metrics)
    with pytest.raises(ValueError, match="backend-engineer"):
        llm("x", persona="nobody")
    assert called == []
    assert counted(metrics, "llm") == {}


@pytest.mark.parametrize(("error", "outcome"), [
    (RuntimeError("down"), "error"), (KeyboardInterrupt(), "cancelled"), (asyncio.CancelledError(), "cancelled")])
def test_an_exception_goes_on_as_the_same_object(
        metrics: PersonaMetricsCollector, error: BaseException, outcome: str) -> None:
    def fail(prompt: str) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        ObservableLLM(fail, "m", metrics=metrics)("x")
    assert raised.value is error
    assert counted(metrics, "llm") == {("unknown", "m", outcome): 1}
    assert counted(metrics, "miss") == {}, "a call that failed without usage is not missing"


def test_a_sync_function_stays_sync_and_an_async_one_async(metrics: PersonaMetricsCollector) -> None:
    @observe_llm("m", metrics=metrics)
    def plain(prompt: str, *, temperature: float = 0.5) -> str:
        """Its own words."""
        return prompt

    @observe_llm("m", metrics=metrics)
    async def later(prompt: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return CHAT

    assert plain("a") == "a"
    assert inspect.iscoroutinefunction(later)
    assert asyncio.run(later("a")) is CHAT
    assert str(inspect.signature(plain)) == "(prompt: 'str', *, temperature: 'float' = 0.5) -> 'str'"
    assert (plain.__doc__, plain.__name__) == ("Its own words.", "plain")
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 2}


def test_our_arguments_are_passed_on_only_to_whoever_names_them(metrics: PersonaMetricsCollector) -> None:
    def names(prompt: str, persona: str = "-", **rest: Any) -> Any:
        return persona, rest

    llm = ObservableLLM(names, "m", metrics=metrics)
    assert llm("x", persona="strict", chatmode="c", metadata={"a": 1}, top_p=1) == ("strict", {"top_p": 1})


def test_methods_and_callable_objects(metrics: PersonaMetricsCollector) -> None:
    class Client:
        @observe_llm("m", metrics=metrics)
        def ask(self, prompt: str) -> Any:
            return self, prompt

        @staticmethod
        @observe_llm("m", metrics=metrics)
        def static(prompt: str) -> str:
            return prompt

        async def __call__(self, prompt: str) -> Any:
            return CHAT

    client = Client()
    assert client.ask("x") == (client, "x")
    assert client.static("y") == "y"
    assert asyncio.run(ObservableLLM(client, "m", metrics=metrics)("z")) is CHAT
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 3}


def test_persona_of_an_argument_then_the_context_then_the_stage_then_the_default() -> None:
    shared = hypertool.get_persona_metrics()
    llm = ObservableLLM(lambda p: CHAT, "order", default_persona="data-scientist")
    llm("default")
    with WorkflowTracer("bug_fix") as workflow, workflow.stage_context("investigation", "observability-expert"):
        llm("stage")
        with hypertool.context(persona="devops", chatmode="x"):
            llm("context")
            llm("argument", persona="frontend-engineer")
    assert {key[:2]: tokens for key, tokens in counted(shared, "tok").items() if key[2] == "order"} == {
        ("data-scientist", "default"): 120, ("observability-expert", "bug-investigation"): 120,
        ("devops-engineer", "x"): 120, ("frontend-engineer", "x"): 120}


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


# Nested calls


def test_the_innermost_call_with_usage_is_the_only_one_that_counts(metrics: PersonaMetricsCollector) -> None:
    inner = ObservableLLM(lambda prompt: CHAT, "inner", metrics=metrics)
    outer = ObservableLLM(lambda prompt: inner(prompt), "outer", metrics=metrics)
    around = ObservableLLM(lambda prompt: outer(prompt), "around", metrics=metrics)
    assert around("x", persona="backend-engineer") is CHAT
    # The innermost call was not told whose it is: nothing of the enclosing call's own arguments is its.
    assert counted(metrics, "llm") == {("unknown", "inner", "success"): 1}
    assert sum(counted(metrics, "tok").values()) == 120


def test_an_inner_call_without_usage_gives_way_to_the_enclosing_one_that_has_it(
        metrics: PersonaMetricsCollector) -> None:
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


# Streams


def stream(*chunks: Any, error: BaseException | None = None) -> Any:
    def generate(prompt: str) -> Iterator[Any]:
        yield from chunks
        if error is not None:
            raise error

    return generate


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
def test_whoever_stops_before_the_final_usage_has_cancelled(
        metrics: PersonaMetricsCollector, taken: int, outcome: str, missing: int) -> None:
    running = ObservableLLM(stream(CHUNK, LAST, CHUNK), "m", metrics=metrics)("x")
    for _ in range(taken):
        next(running)
    del running
    gc.collect()
    assert counted(metrics, "llm") == {("unknown", "m", outcome): 1}
    assert sum(counted(metrics, "miss").values()) == missing
    assert _CALL.get() is None


def test_a_generator_that_was_never_started_made_no_call(metrics: PersonaMetricsCollector) -> None:
    ObservableLLM(stream(CHUNK), "m", metrics=metrics)("x").close()
    assert counted(metrics, "llm") == {}


def test_a_stream_that_fails_is_an_error(metrics: PersonaMetricsCollector) -> None:
    running = ObservableLLM(stream(CHUNK, error=OSError("cut")), "m", metrics=metrics)("x")
    with pytest.raises(OSError, match="cut"):
        list(running)
    assert counted(metrics, "llm") == {("unknown", "m", "error"): 1}


def test_generators_pass_on_what_is_sent_thrown_and_returned(metrics: PersonaMetricsCollector) -> None:
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


def test_async_generators_exhausted_abandoned_and_cancelled(metrics: PersonaMetricsCollector) -> None:
    @observe_llm("m", metrics=metrics)
    async def generate(prompt: str) -> AsyncIterator[Any]:
        yield CHUNK
        await asyncio.sleep(30 if prompt == "slow" else 0)
        yield LAST

    async def work() -> None:
        assert [chunk async for chunk in generate("x")] == [CHUNK, LAST]
        async for _ in generate("x"):
            break
        assert _CALL.get() is None

        async def consume() -> None:
            async for _ in generate("slow"):
                started.set()

        started = asyncio.Event()
        task = asyncio.create_task(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    gc.collect()
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 1, ("unknown", "m", "cancelled"): 2}


def test_what_only_looks_like_a_stream_is_the_same_object(metrics: PersonaMetricsCollector) -> None:
    import io

    for thing in (io.StringIO("a"), iter([1]), [CHUNK], range(3)):
        assert ObservableLLM(lambda p, thing=thing: thing, "m", metrics=metrics)("x") is thing


def test_futures_come_back_as_they_are_and_are_counted_at_their_end(metrics: PersonaMetricsCollector) -> None:
    async def work() -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        returned = ObservableLLM(lambda p: future, "m", metrics=metrics)("x")
        assert returned is future
        future.set_result(CHAT)
        assert await returned is CHAT
        await asyncio.sleep(0)

    asyncio.run(work())
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 1}


# Blocking


def test_block_refuses_when_nothing_is_left_and_the_call_is_not_made(metrics: PersonaMetricsCollector) -> None:
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
        await asyncio.sleep(0.01)
        return {**CHAT, "usage": {"prompt_tokens": 0, "completion_tokens": 400, "total_tokens": 400}}

    async def work() -> list[Any]:
        return await asyncio.gather(*(ask("", max_tokens=400) for _ in range(10)), return_exceptions=True)

    results = asyncio.run(work())
    assert sum(isinstance(result, TokenBudgetExceeded) for result in results) == 7
    assert metrics.get_remaining_budget("strict") == 1000 - 3 * 400


def test_a_reservation_is_given_back_however_the_call_ends(metrics: PersonaMetricsCollector) -> None:
    def fail(prompt: str) -> Any:
        raise OSError

    for _ in range(5):
        with pytest.raises(OSError):  # noqa: PT011 - which one does not matter
            ObservableLLM(fail, "m", metrics=metrics, default_persona="strict")("x")
        running = ObservableLLM(stream(CHUNK, LAST), "m", metrics=metrics, default_persona="strict")("x")
        next(running)
        running.close()
    assert ObservableLLM(lambda p: CHAT, "m", metrics=metrics, default_persona="strict")("x") is CHAT


def test_an_enclosing_call_does_not_block_the_one_that_it_makes(metrics: PersonaMetricsCollector) -> None:
    inner = ObservableLLM(lambda prompt: CHAT, "m", metrics=metrics, default_persona="strict")
    outer = ObservableLLM(lambda prompt: inner(prompt), "m", metrics=metrics, default_persona="strict")
    assert outer("x") is CHAT
    assert metrics.get_remaining_budget("strict") == 1000 - 120


def test_eighty_and_a_hundred_percent_are_said_once_each(
        metrics: PersonaMetricsCollector, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hypertool")
    llm = ObservableLLM(lambda p: CHAT, "m", metrics=metrics, default_persona="testing-specialist")
    for _ in range(15):  # 120 tokens each, of 1,500
        llm("x")
    said = [record.getMessage() for record in caplog.records if "% of its budget" in record.getMessage()]
    assert said == [f"testing-specialist has used {share} % of its budget of 1500 tokens" for share in (80, 100)]
    assert counted(metrics, "exc") == {("testing-specialist",): 1}


# Switches


def test_metrics_false_counts_nothing(metrics: PersonaMetricsCollector) -> None:
    assert ObservableLLM(lambda p: CHAT, "uncounted", metrics=False)("x", persona="backend-engineer") is CHAT
    shared = hypertool.get_persona_metrics()
    assert not [key for key in shared.recorder.counters if "uncounted" in key]


def test_disabled_is_a_pass_through(metrics: PersonaMetricsCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypertool.llm import wrapper

    monkeypatch.setattr(wrapper.switch, "off", None)
    monkeypatch.setenv("HYPERTOOL_DISABLED", "1")
    assert ObservableLLM(lambda p: CHAT, "m", metrics=metrics)("x", persona="nobody") is CHAT
    assert list(ObservableLLM(stream(1, 2), "m", metrics=metrics)("x")) == [1, 2]
    assert counted(metrics, "llm") == {}


def test_wrap_sync_works_with_and_without_a_running_loop_and_wrap_async_frees_the_loop(
        metrics: PersonaMetricsCollector) -> None:
    async def later(prompt: str) -> Any:
        await asyncio.sleep(0)
        return CHAT

    import time

    def slow(prompt: str) -> Any:
        time.sleep(0.1)
        return CHAT

    llm = ObservableLLM(later, "m", metrics=metrics)
    assert llm.wrap_sync("x") is CHAT

    async def work() -> None:
        assert llm.wrap_sync("x") is CHAT
        ticks = 0
        task = asyncio.create_task(ObservableLLM(slow, "m", metrics=metrics).wrap_async("x"))
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.005)
        assert await task is CHAT
        assert ticks > 5

    asyncio.run(work())
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 3}


def test_a_count_beyond_reason_is_invalid_everywhere() -> None:
    from hypertool.llm.record import make_record
    from hypertool.llm.usage import Missing, Reading

    assert make_record("unknown", "d", "m", "success", 1.0, Reading(Usage(2 * 10**9))).usage == Missing("invalid")
