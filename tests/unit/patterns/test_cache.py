"""Cache: what was asked before costs nothing, hits and misses are steps, and no failure is kept."""

from __future__ import annotations

import textwrap

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.unit.patterns.programs import HEAD, gates, named, run, tokens, tree


def test_hit_costs_the_second_persona_nothing(traced: Host, receiver: OtlpReceiver) -> None:
    """The first persona pays, the second has the answer for no tokens, in a step `hit`."""
    run(
        traced,
        """
        @cached()
        def ask(question, *, depth=1):
            return llm(question, 10)["usage"]
        with WorkflowTracer("w") as w:
            assert w.trace_stage("research", "backend", ask, "why?") == w.trace_stage("review", "testing", ask, "why?")
            w.trace_stage("deeper", "devops", ask, "why?", depth=2)
    """,
    )
    assert tokens(traced) == {"backend-engineer": 10, "devops-engineer": 10}
    assert gates(traced) == {
        **dict.fromkeys(("research", "review", "deeper"), "1 pass"),
        **dict.fromkeys(("research.miss", "review.hit", "deeper.miss"), "1 pass"),
    }
    receiver.wait(9)
    assert tree(receiver)[1:6] == [
        *("  stage.research", "    stage.research.miss", "      chat simulated"),
        *("  stage.review", "    stage.review.hit"),
    ]
    (hit,) = named(receiver, "stage.review.hit")
    assert (hit.attributes["cache.hit"], hit.attributes["cache.waited"]) == (True, False)


def test_failures_are_not_kept(host: Host) -> None:
    """An exception and a negative verdict are asked again; arguments that cannot be a key are an error."""
    out = run(
        host,
        """
        answers = [OSError("down"), {"quality_gate_passed": False}, {"text": "good"}]
        store = {}
        @cached(store, key=lambda question: question.strip())
        def ask(question):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        with WorkflowTracer("w") as w:
            with w.stage_context("s", "backend"):
                try:
                    ask("why?")
                except OSError as error:
                    print(error)
                print(ask("why?"), ask(" why? "), ask("why?"), store)
                try:
                    cached()(lambda names: names)(["a"])
                except TypeError as error:
                    print(error)
    """,
    )
    first, answers, error = out.splitlines()
    assert first == "down"
    assert answers == "{'quality_gate_passed': False} {'text': 'good'} {'text': 'good'} {'why?': {'text': 'good'}}"
    assert "cached(key=...)" in error
    assert "<lambda>" in error
    assert gates(host) == {"s": "1 pass", "s.miss": "1 pass, 2 fail", "s.hit": "1 pass"}


def test_store_that_fails_costs_no_answer(host: Host) -> None:
    """A store that cannot read or write: each call is made and its answer returned; it is said once."""
    done = host.python(
        HEAD
        + textwrap.dedent(
            """
        class Full(dict):
            def get(self, *_):
                raise OSError("damaged")
            def __setitem__(self, *_):
                raise OSError("no space")
        ask = cached(Full())(lambda question: question.upper())
        with WorkflowTracer("w") as w:
            with w.stage_context("s", "backend"):
                print(ask("a"), ask("a"))
    """
        )
    )
    assert done.stdout.split() == ["A", "A"], done.stderr
    assert (done.stderr.count("damaged"), done.stderr.count("no space")) == (1, 1)
    assert gates(host) == {"s": "1 pass", "s.miss": "2 pass"}


def test_callers_at_the_same_time_ask_once(traced: Host, receiver: OtlpReceiver) -> None:
    """Threads and tasks that ask for the same wait for the first; where it is cancelled, one of them asks."""
    out = run(
        traced,
        """
        begun, go = threading.Event(), threading.Event()
        @cached()
        def ask(given):
            begun.set(), go.wait(20)
            return llm("why?", 10)["usage"]["total_tokens"]
        def second(given):
            begun.wait(20)
            threading.Timer(0.2, go.set).start()  # Until then this thread waits for the first one.
            return ask(given)
        @cached()
        async def ask_later(number):
            started.set()
            await (asyncio.sleep(60) if first.pop() else asyncio.sleep(0))
            await llm_async("why?", 7)
            return number
        first = [False, True]
        async def main(w):
            global started
            started = asyncio.Event()
            with w.stage_context("tasks", "testing"):
                cancelled = asyncio.ensure_future(ask_later(5))
                await started.wait()
                waiting = [asyncio.ensure_future(ask_later(5)) for _ in range(3)]
                given_up = asyncio.ensure_future(ask_later(5))
                await asyncio.sleep(0)
                given_up.cancel()  # One that waits takes nothing from the others.
                await asyncio.sleep(0)
                cancelled.cancel()
                print(await asyncio.gather(*waiting))
        with WorkflowTracer("w") as w:
            print(parallel(w, [Task("a", "backend", ask), Task("b", "devops", second)], "same"))
            asyncio.run(main(w))
    """,
    )
    assert out == "[10, 10]\n[5, 5, 5]\n"
    assert tokens(traced) == {"backend-engineer": 10, "testing-specialist": 7}
    found = gates(traced)
    assert (found["a.miss"], found["b.hit"]) == ("1 pass", "1 pass")
    assert (found["tasks.miss"], found["tasks.hit"]) == ("1 pass, 1 fail", "2 pass")
    receiver.wait(11)
    (hit,) = named(receiver, "stage.b.hit")
    assert hit.attributes["cache.waited"] is True


def test_function_that_asks_itself_does_not_hang(host: Host) -> None:
    """A cached function that calls itself with the same arguments does not wait for itself."""
    out = run(
        host,
        """
        depth = []
        @cached()
        def ask():
            depth.append(1)
            return ask() if len(depth) < 3 else "end"
        with WorkflowTracer("w") as w:
            print(w.trace_stage("s", "backend", ask), len(depth))
    """,
    )
    assert out == "end 3\n"
