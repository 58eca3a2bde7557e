"""Every call is measured once, and its caller sees nothing of it: values, signatures, exceptions."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

import pytest

import hypertool
from hypertool import ObservableLLM, PersonaMetricsCollector, WorkflowTracer, observe_llm
from hypertool.llm.calls import observed
from hypertool.llm.reading.usage import Missing, Reading, Usage
from hypertool.llm.record import make_record
from tests.llm.calls import CHAT, counted, durations, stream


@pytest.mark.predecessor("D11")
def test_one_call_counts_request_tokens_cost_budget(metrics: PersonaMetricsCollector) -> None:
    """One call is one request, its tokens, its cost and its debit."""
    llm = ObservableLLM(lambda prompt: CHAT, "gpt-4o", metrics=metrics)
    assert llm("hello", persona="backend-engineer", chatmode="bug-fix") is CHAT
    assert counted(metrics, "llm") == {("backend-engineer", "gpt-4o", "success"): 1}
    assert counted(metrics, "tok") == {("backend-engineer", "bug-fix", "gpt-4o"): 120}
    assert counted(metrics, "usd") == {("backend-engineer", "gpt-4o"): 100 * 2500 + 20 * 10000}
    assert durations(metrics) == 1
    assert metrics.get_remaining_budget("backend-engineer") == 2000 - 120


def test_call_without_persona_is_unknown_and_free(metrics: PersonaMetricsCollector) -> None:
    """A call without a persona counts as `unknown` and debits no budget."""
    assert ObservableLLM(lambda p: CHAT, "gpt-4o", metrics=metrics)("x") is CHAT
    assert counted(metrics, "tok") == {("unknown", "default", "gpt-4o"): 120}
    assert metrics.get_remaining_budget("backend-engineer") == 2000


def test_unknown_usage_is_missing_and_not_zero(metrics: PersonaMetricsCollector) -> None:
    """Usage that is not known is missing, and not zero."""
    ObservableLLM(lambda p: "text", "m", metrics=metrics)("x")
    assert counted(metrics, "miss") == {("unknown", "m", "no_usage"): 1}
    assert counted(metrics, "tok") == {}


def test_unknown_persona_is_an_error_before_the_call(metrics: PersonaMetricsCollector) -> None:
    """An unknown persona is an error before the function is called."""
    called: list[str] = []
    llm = ObservableLLM(called.append, "m", metrics=metrics)
    with pytest.raises(ValueError, match="backend-engineer"):
        llm("x", persona="nobody")
    assert called == []
    assert counted(metrics, "llm") == {}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(RuntimeError("down"), "error"), (KeyboardInterrupt(), "cancelled"), (asyncio.CancelledError(), "cancelled")],
)
def test_an_exception_goes_on_as_the_same_object(
    metrics: PersonaMetricsCollector, error: BaseException, outcome: str
) -> None:
    def fail(prompt: str) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        ObservableLLM(fail, "m", metrics=metrics)("x")
    assert raised.value is error
    assert counted(metrics, "llm") == {("unknown", "m", outcome): 1}
    assert counted(metrics, "miss") == {}, "a call that failed without usage is not missing"


@pytest.mark.predecessor("D19")
def test_sync_stays_sync_and_async_stays_async(metrics: PersonaMetricsCollector) -> None:
    """A sync function stays sync, and an async one async."""

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


def test_our_arguments_go_only_to_who_names_them(metrics: PersonaMetricsCollector) -> None:
    """Our own arguments are passed on only to a function whose signature names them."""

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


def test_persona_argument_context_stage_then_default() -> None:
    """The persona is that of the argument, else of the context, else of the stage, else the default."""
    shared = hypertool.get_persona_metrics()
    llm = ObservableLLM(lambda p: CHAT, "order", default_persona="data-scientist")
    llm("default")
    with WorkflowTracer("bug_fix") as workflow, workflow.stage_context("investigation", "observability-expert"):
        llm("stage")
        with hypertool.context(persona="devops", chatmode="x"):
            llm("context")
            llm("argument", persona="frontend-engineer")
    assert {key[:2]: tokens for key, tokens in counted(shared, "tok").items() if key[2] == "order"} == {
        ("data-scientist", "default"): 120,
        ("observability-expert", "bug-investigation"): 120,
        ("devops-engineer", "x"): 120,
        ("frontend-engineer", "x"): 120,
    }


# Switches


def test_metrics_false_counts_nothing(metrics: PersonaMetricsCollector) -> None:
    assert ObservableLLM(lambda p: CHAT, "uncounted", metrics=False)("x", persona="backend-engineer") is CHAT
    shared = hypertool.get_persona_metrics()
    assert not [key for key in shared.recorder.counters if "uncounted" in key]


def test_disabled_is_a_pass_through(metrics: PersonaMetricsCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed.switch, "off", None)
    monkeypatch.setenv("HYPERTOOL_DISABLED", "1")
    assert ObservableLLM(lambda p: CHAT, "m", metrics=metrics)("x", persona="nobody") is CHAT
    assert list(ObservableLLM(stream(1, 2), "m", metrics=metrics)("x")) == [1, 2]
    assert counted(metrics, "llm") == {}


@pytest.mark.predecessor("D19")
def test_wrap_sync_and_wrap_async_fit_the_loop(
    metrics: PersonaMetricsCollector,
) -> None:
    """`wrap_sync` works with and without a running loop, and `wrap_async` does not block the loop."""

    async def later(prompt: str) -> Any:
        await asyncio.sleep(0)
        return CHAT

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
            assert ticks < 2000, "waited 10 s and more for the call in a thread, in vain"
            await asyncio.sleep(0.005)
        assert await task is CHAT
        assert ticks > 5

    asyncio.run(work())
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 3}


def test_a_count_beyond_reason_is_invalid_everywhere() -> None:

    assert make_record("unknown", "d", "m", "success", 1.0, Reading(Usage(2 * 10**9))).usage == Missing("invalid")
