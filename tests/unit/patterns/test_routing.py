"""Router, fallback and shared memory: the way that was taken is in the trace, the gates and the budget."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.unit.patterns.programs import gates, named, run, tokens, tree


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_router_takes_the_route_it_is_told(traced: Host, receiver: OtlpReceiver, mode: str) -> None:
    """Deciding costs tokens and is a step; so is the route. An unknown name takes the default."""
    word, ask, await_ = ("async ", "llm_async", "await ") if mode == "async" else ("", "llm", "")
    out = run(
        traced,
        f"""
        {word}def classify(text):
            {await_}{ask}("which?", 5)
            return text.partition(" ")[0]
        {word}def hard(text):
            return {await_}{ask}(text, 20)
        router = Router(classify, {{"easy": lambda text: "done", "hard": hard}}, default="easy")
        async def main(w):
            print(router("easy one") if {mode!r} == "sync" else await router("easy one"))
            result = router("hard one")
            result = await result if {mode!r} == "async" else result
            result = router("nonsense {{{{x}}}}")
            print(await result if {mode!r} == "async" else result)
        with WorkflowTracer("w") as w:
            with w.stage_context("triage", "observability"):
                asyncio.run(main(w))
    """,
    )
    assert out == "done\ndone\n"
    assert gates(traced) == {
        "triage": "1 pass",
        "triage.route": "3 pass",
        "triage.easy": "2 pass",
        "triage.hard": "1 pass",
    }
    assert tokens(traced) == {"observability-expert": 35}
    receiver.wait(12)
    decided = [
        (s.attributes["route.name"], s.attributes["route.default"]) for s in named(receiver, "stage.triage.route")
    ]
    assert decided == [("easy", False), ("hard", False), ("easy", True)]
    assert tree(receiver)[2:8] == [
        *("    stage.triage.route", "      chat simulated", "    stage.triage.easy"),
        *("    stage.triage.route", "      chat simulated", "    stage.triage.hard"),
    ]


def test_unknown_route_without_default_fails(host: Host) -> None:
    out = run(
        host,
        """
        with WorkflowTracer("w") as w:
            for answer in ("p9", ["p0"], None):
                try:
                    w.trace_stage("triage", "observability", Router(lambda: answer, {"p0": print}))
                except ValueError as error:
                    print(error)
        for wrong in ({"routes": {}}, {"routes": {"a": print}, "default": "b"}):
            try:
                Router(print, **wrong)
            except ValueError as error:
                print(error)
    """,
    )
    assert "there is no route 'p9', and no default; there are p0" in out
    assert "the default route 'b' is not a route; there are a" in out
    assert gates(host) == {"triage": "3 fail", "triage.route": "3 fail"}


def test_fallback_tries_in_order(traced: Host, receiver: OtlpReceiver) -> None:
    """What failed is paid for and fails its step; the stage passes with the first good answer."""
    traced.config.write_text('[personas.testing-specialist]\ntokens = 100\non_exceed = "block"\n')
    out = run(
        traced,
        """
        def big(given):
            llm("go", 50)
            raise ConnectionError("down")
        def small(given):
            return {"text": llm("go", 60) and "vague", "quality_gate_passed": False}
        answer = fallback(big=big, small=small, paid=lambda given: llm("go", 1), canned=lambda given: "sorry")
        async def later(given):
            raise OSError(given)
        with WorkflowTracer("w") as w:
            print(w.trace_stage("answer", "testing", answer, 1))
            try:
                w.trace_stage("lost", "backend", lambda: asyncio.run(fallback(a=later, b=later)("gone")))
            except OSError as error:
                print(error)
    """,
    )
    assert out == "sorry\ngone\n"
    assert tokens(traced) == {"testing-specialist": 110}
    assert gates(traced) == {
        "answer": "1 pass",
        "answer.big": "1 fail",
        "answer.small": "1 fail",
        "answer.paid": "1 fail",
        "answer.canned": "1 pass",
        "lost": "1 fail",
        "lost.a": "1 fail",
        "lost.b": "1 fail",
    }
    assert traced.counters("llm")["testing-specialist", "simulated", "blocked"] == 1
    receiver.wait(10)
    (third,) = named(receiver, "stage.answer.paid")
    assert (third.attributes["fallback.position"], third.attributes["error.type"]) == (
        2,
        "hypertool.errors.TokenBudgetExceeded",
    )


def test_memory_knows_who_wrote(traced: Host, receiver: OtlpReceiver) -> None:
    """One persona remembers, another recalls for no tokens; the limit forgets the oldest."""
    out = run(
        traced,
        """
        memory = SharedMemory(limit=2)
        with WorkflowTracer("w") as w:
            with w.stage_context("investigation", "observability"):
                memory.remember("cause", llm("why?", 10)["model"])
            with w.stage_context("hotfix", "backend"):
                print(memory.recall("cause"), memory.recall("nothing", "default"))
                memory.remember("cause", "a leak")
                memory.remember("fix", "restart"), memory.remember("risk", "low")
        print([(e.key, e.persona, e.stage) for e in memory.entries()])
    """,
    )
    assert out == (
        "simulated default\n[('fix', 'backend-engineer', 'hotfix'), ('risk', 'backend-engineer', 'hotfix')]\n"
    )
    assert tokens(traced) == {"observability-expert": 10}
    assert gates(traced) == {"investigation": "1 pass", "hotfix": "1 pass"}
    receiver.wait(10)
    assert [line.strip() for line in tree(receiver)][-6:-3] == ["stage.hotfix", "memory.recall", "memory.recall"]
    found, missed = named(receiver, "memory.recall")
    assert (found.attributes["memory.found"], found.attributes["memory.written_by"]) == (True, "observability-expert")
    assert (missed.attributes["memory.found"], missed.status) == (False, 0)


ASYNC_CALL = """
import functools
from pybreaker import CircuitBreaker
class Client:
    fails = 1
    async def __call__(self, prompt):
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise OSError("down")
        return prompt.upper()
async def canned(prompt):
    return "canned"
async def main():
    async with WorkflowTracer("w") as w:
        async with w.stage_context("s", "backend"):
            print(await retried(wait=lambda state: 0)(Client())("a"))
            ask = cached()(functools.partial(Client()))
            for _ in range(3):
                try:
                    print(await ask("b"))
                except OSError as error:
                    print(error)
            print(await fallback(first=Client(), other=canned)("c"))
            try:
                await Guard(CircuitBreaker())(Client())("d")
            except OSError as error:
                print(error)
            route = Client()
            route.fails = 0
            print(await Router(lambda prompt: "up", {"up": route})("e"))
asyncio.run(main())
"""


def test_object_that_is_called_async(host: Host) -> None:
    """An object with an async `__call__`, or a partial of it, is awaited inside its step, like an async function."""
    assert run(host, ASYNC_CALL).split() == ["A", "down", "B", "B", "canned", "down", "E"]
    found = gates(host)
    assert (found["s.attempt"], found["s.miss"], found["s.hit"]) == ("1 pass, 1 fail", "1 pass, 1 fail", "1 pass")
    assert (found["s.first"], found["s.other"]) == ("1 fail", "1 pass")
    assert (found["s.call"], found["s.up"]) == ("1 fail", "1 pass")


SECRETLY_ASYNC = """
def hidden(*_):
    return reply_later("x", 1)
def each(w):
    yield retried(wait=lambda state: 0)(hidden)
    yield cached()(hidden)
    yield fallback(only=hidden)
    yield Router(lambda prompt: "a", {"a": hidden})
    yield lambda prompt: sequential(w, [Task("t", "backend", hidden)])
    yield lambda prompt: parallel(w, [Task("u", "backend", hidden)])
with WorkflowTracer("w") as w:
    with w.stage_context("s", "backend"):
        for ask in each(w):
            try:
                ask("x")
            except TypeError as error:
                print(error)
"""


def test_awaitable_of_a_plain_function_is_an_error(host: Host) -> None:
    """A function that is not async and gives an awaitable: TypeError with what to do, and a gate that fails."""
    lines = run(host, SECRETLY_ASYNC).splitlines()
    assert len(lines) == 6
    assert all("not async gave an awaitable (coroutine)" in line for line in lines)
    assert [line.rpartition("; ")[2] for line in lines[3:]] == [
        "make the function itself async (`async def`)",
        "use sequential_async",
        "use parallel_async",
    ]
    found = gates(host)
    assert {found[stage] for stage in ("s.miss", "s.only", "s.a", "t", "u")} == {"1 fail"}
