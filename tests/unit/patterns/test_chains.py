"""Stages one after the other and side by side: results, gates, tokens and spans, also where one of them fails."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.unit.patterns.programs import gates, run, tokens, tree

PERSONAS = ("backend-engineer", "frontend-engineer", "testing-specialist", "devops-engineer")


def test_sequential_passes_results_on(traced: Host, receiver: OtlpReceiver) -> None:
    """Each stage gets the result of the one before it, and costs its own persona."""
    out = run(
        traced,
        """
        def work(tokens):
            return lambda given: given + llm("go", tokens)["usage"]["total_tokens"]
        with WorkflowTracer("w") as w:
            print(sequential(w, [Task("a", "backend", work(100)), Task("b", "testing", work(20)),
                                 Task("c", "devops", work(3), "package-release")], 1000))
    """,
    )
    assert out == "1123\n"
    assert tokens(traced) == {"backend-engineer": 100, "testing-specialist": 20, "devops-engineer": 3}
    assert ("devops-engineer", "package-release", "simulated") in traced.counters("tok")
    assert gates(traced) == {"a": "1 pass", "b": "1 pass", "c": "1 pass"}
    assert tree(receiver) == [
        "workflow.w",
        *("  stage.a", "    chat simulated", "  stage.b", "    chat simulated", "  stage.c", "    chat simulated"),
    ]


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("{'quality_gate_passed': False}", "QualityGateFailed the gate of stage 'b' failed; not run: c"),
        ("1 / 0", "ZeroDivisionError division by zero"),
    ],
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_sequential_stops_at_a_failed_gate(host: Host, work: str, said: str, mode: str) -> None:
    """After a negative verdict or an exception, nothing further runs."""
    out = run(
        host,
        f"""
        tasks = [Task("a", "backend", lambda given: 1), Task("b", "testing", lambda given: {work}),
                 Task("c", "devops", lambda given: print("must not run"))]
        async def later():
            async with WorkflowTracer("w") as w:
                await sequential_async(w, tasks)
        def now():
            with WorkflowTracer("w") as w:
                sequential(w, tasks)
        try:
            now() if {mode!r} == "sync" else asyncio.run(later())
        except Exception as error:
            print(type(error).__name__, error)
    """,
    )
    assert out == said + "\n"
    assert gates(host) == {"a": "1 pass", "b": "1 fail"}


THREADS = """
    # A round of every persona's calls begins when the round before it has ended: they are certainly interleaved.
    together = threading.Barrier(4, timeout=20)
    def work(tokens):
        def calls(given):
            for _ in range(5):
                together.wait()
                llm("go", tokens)
        return calls
    with WorkflowTracer("w") as w:
        parallel(w, [Task(f"s{i}", persona, work(10 ** i)) for i, persona in enumerate(PERSONAS)])
"""
TASKS = """
    def work(tokens):
        async def calls(given):
            for _ in range(5):
                await asyncio.sleep(0)
                await llm_async("go", tokens)
        return calls
    async def main():
        async with WorkflowTracer("w") as w:
            await parallel_async(w, [Task(f"s{i}", persona, work(10 ** i)) for i, persona in enumerate(PERSONAS)])
    asyncio.run(main())
"""
GATHER = """
    async def main():
        async with WorkflowTracer("w") as w:
            async def calls(tokens):
                for _ in range(5):
                    await asyncio.sleep(0)
                    await llm_async("go", tokens)
            four = enumerate(PERSONAS)
            await asyncio.gather(*(w.trace_stage(f"s{i}", persona, calls, 10 ** i) for i, persona in four))
    asyncio.run(main())
"""


@pytest.mark.parametrize("code", [THREADS, TASKS, GATHER], ids=["threads", "tasks", "gather"])
def test_parallel_personas_never_mix(traced: Host, receiver: OtlpReceiver, code: str) -> None:
    """Interleaved calls of four personas cost each its own, and are in its own stage."""
    run(traced, f"PERSONAS = {PERSONAS!r}\n{code}".replace("\n    ", "\n"))
    assert tokens(traced) == {persona: 5 * 10**i for i, persona in enumerate(PERSONAS)}
    receiver.wait(25)
    stages = {span.span_id: span for span in receiver.spans if span.name.startswith("stage.")}
    found = [
        (
            stages[span.parent_id].name,
            span.attributes["gen_ai.usage.input_tokens"],
            span.attributes["gen_ai.agent.name"],
        )
        for span in receiver.spans
        if span.name == "chat simulated"
    ]
    assert sorted(found) == sorted(
        (f"stage.s{i}", 10**i, persona) for i, persona in enumerate(PERSONAS) for _ in "12345"
    )


NESTED = """
    def leaf(persona, tokens):
        def work(_):
            for _ in range(3):
                llm("go", tokens)
        return Task(f"leaf-{persona}", persona, work)
    def branch(given):
        parallel(w, [leaf("testing", 10), leaf("devops", 100)])
        llm("go", 1)
    async def inside(given):
        await parallel_async(w, [Task("later", "data", lambda _: llm_async("go", 1000))])
    with WorkflowTracer("w") as w:
        parallel(w, [Task("a", "backend", branch), Task("b", "frontend", lambda given: asyncio.run(inside(given)))])
"""


def test_nested_parallel_personas_never_mix(traced: Host, receiver: OtlpReceiver) -> None:
    """Threads inside a thread, and an event loop inside a thread: each call is its own stage's and persona's."""
    run(traced, NESTED.replace("\n    ", "\n"))
    assert tokens(traced) == {
        "backend-engineer": 1,
        "testing-specialist": 30,
        "devops-engineer": 300,
        "data-scientist": 1000,
    }
    receiver.wait(14)
    names = {span.span_id: span.name for span in receiver.spans}
    inside = Counter((names.get(span.parent_id, ""), span.name) for span in receiver.spans)
    assert inside == {
        ("", "workflow.w"): 1,
        **{("workflow.w", f"stage.{name}"): 1 for name in "ab"},
        **{("stage.a", f"stage.leaf-{name}"): 1 for name in ("testing", "devops")},
        ("stage.b", "stage.later"): 1,
        **{(f"stage.leaf-{name}", "chat simulated"): 3 for name in ("testing", "devops")},
        **{(f"stage.{name}", "chat simulated"): 1 for name in ("a", "later")},
    }


def test_interrupted_parallel_begins_nothing_more(host: Host) -> None:
    """Ctrl-C while one of three stages has the only thread: the other two never begin."""
    out = run(
        host,
        """
        def first(_):
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(20)
        ended = threading.Event()
        def stop(*_):
            threading.Timer(1, ended.set).start()  # after the interrupt has reached parallel()
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, stop)
        with WorkflowTracer("w") as w:
            try:
                parallel(w, [Task(f"s{n}", "backend", first if n == 0 else print) for n in range(3)], threads=1)
            except KeyboardInterrupt:
                print("interrupted")
    """,
    )
    assert out == "interrupted\n"
    assert gates(host) == {"s0": "1 pass"}


def test_parallel_joins_in_order(host: Host) -> None:
    """Results come in the order of the tasks, whichever ends first."""
    out = run(
        host,
        """
        first = threading.Event()
        with WorkflowTracer("w") as w:
            print(parallel(w, [Task("a", "backend", lambda given: first.wait(20) and given),
                               Task("b", "testing", lambda given: first.set() or given * 2)], 21))
            print(parallel(w, []))
    """,
    )
    assert out == "[21, 42]\n[]\n"


def test_parallel_failure_begins_nothing_more(host: Host) -> None:
    """What runs is awaited, what waits for a thread is not begun, and the exception is raised."""
    out = run(
        host,
        """
        started, failed = threading.Event(), threading.Event()
        def slow(given):
            started.set()
            failed.wait(20)
            return 1
        def broken(given):
            started.wait(20)
            failed.set()
            raise OSError("no host")
        tasks = [Task("slow", "backend", slow), Task("broken", "testing", broken)]
        with WorkflowTracer("w") as w:
            try:
                parallel(w, tasks)
            except OSError as error:
                print(error)
            try:
                later = [Task("never", "devops", slow)] * 3
                parallel(w, [Task("broken", "testing", broken), *later], threads=1)
            except OSError as error:
                print(error)
            try:
                parallel(w, [Task("verdict", "testing", lambda given: {"quality_gate_passed": False})])
            except QualityGateFailed as error:
                print(error)
    """,
    )
    assert out.splitlines()[:2] == ["no host"] * 2
    assert out.splitlines()[2] == "the gates of these parallel stages failed: verdict"
    found = gates(host)
    assert (found["slow"], found["broken"], found["verdict"]) == ("1 pass", "2 fail", "1 fail")
    assert "never" not in found


@pytest.mark.parametrize("how", ["failure", "cancellation", "timeout"])
def test_parallel_async_leaves_nothing_running(traced: Host, receiver: OtlpReceiver, how: str) -> None:
    """A failure, a cancellation or a timeout cancels the others, whose gates fail, before it is raised."""
    out = run(
        traced,
        f"""
        async def main():
            begun = asyncio.Event()
            async def forever(given):
                await llm_async("go", 7)
                begun.set()
                await asyncio.Event().wait()
            async def other(given):
                await begun.wait()
                if {how!r} == "failure":
                    raise OSError("no host")
            async with WorkflowTracer("w") as w:
                both = parallel_async(w, [Task("forever", "backend", forever), Task("other", "testing", other)])
                try:
                    if {how!r} == "timeout":
                        await asyncio.wait_for(both, 0.5)
                    else:
                        running = asyncio.ensure_future(both)
                        await begun.wait()
                        {how!r} == "cancellation" and running.cancel()
                        await running
                except (OSError, asyncio.CancelledError, asyncio.TimeoutError) as error:
                    print(type(error).__name__, len(asyncio.all_tasks()))
        asyncio.run(main())
    """,
    )
    kind, left = out.split()
    assert kind in {"failure": ("OSError",), "cancellation": ("CancelledError",)}.get(how, ("TimeoutError",))
    assert left == "1"
    assert gates(traced)["forever"] == "1 fail"
    assert tokens(traced) == {"backend-engineer": 7}
    receiver.wait(4)
    assert "  stage.forever !" in tree(receiver)


def test_steps_count_no_switch(host: Host) -> None:
    """Parallel stages whose steps alternate count one switch each, for the stage."""
    run(
        host,
        """
        together = threading.Barrier(2, timeout=20)
        def work(given):
            for _ in range(5):
                together.wait()
                with Step("retry", "attempt"):
                    together.wait()
        with WorkflowTracer("w") as w:
            parallel(w, [Task("a", "backend", work), Task("b", "testing", work)])
    """,
    )
    assert sum(host.counters("sw").values()) == 2
    assert gates(host) == {"a": "1 pass", "a.attempt": "5 pass", "b": "1 pass", "b.attempt": "5 pass"}
