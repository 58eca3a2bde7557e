"""What a workflow run records, whatever kind of code its stages are made of."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host

HEAD = """
import asyncio, json, sys
from hypertool import WorkflowTracer, QualityGateFailed, context, get_persona_metrics
from hypertool.recording.ambient import current_place
"""


def run(host: Host, code: str, **more: str) -> str:
    done = host.python(HEAD + _dedent(code), **more)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def _dedent(code: str) -> str:
    import textwrap

    return textwrap.dedent(code)


def test_run_counts_stages_and_gates(host: Host) -> None:
    """A run counts its stages, gates, switches and sessions."""
    run(
        host,
        """
        with WorkflowTracer("package_release") as w:
            w.trace_stage("version_bump", "backend", lambda: 1)
            w.trace_stage("quality_validation", "testing-specialist", lambda: 2)
    """,
    )
    state = host.read()
    assert host.counters("sw") == {
        ("none", "backend-engineer", "package-release"): 1,
        ("backend-engineer", "testing-specialist", "package-release"): 1,
    }
    assert state.gates["package_release", "version_bump", "pass"] == 1
    assert state.stages["package_release", "version_bump", "backend-engineer"] == 1
    assert {key: count for key, (count, _) in host.durations("pd").items()} == {
        ("backend-engineer", "package-release"): 1,
        ("testing-specialist", "package-release"): 1,
    }


@pytest.mark.predecessor("D8")
def test_session_has_the_chatmode_that_ended(host: Host) -> None:
    """A session is recorded with the chatmode that ended."""
    run(
        host,
        """
        with WorkflowTracer("bug_fix") as w:
            with w.stage_context("investigation", "backend-engineer", {"chatmode": "bug-investigation"}): pass
            with w.stage_context("implement_fix", "backend-engineer", {"chatmode": "bug-fix"}): pass
    """,
    )
    assert host.counters("sw") == {("none", "backend-engineer", "bug-investigation"): 1}
    assert {key: count for key, (count, _) in host.durations("pd").items()} == {
        ("backend-engineer", "bug-investigation"): 1,
        ("backend-engineer", "bug-fix"): 1,
    }


@pytest.mark.parametrize(
    ("metadata", "stage", "expected"),
    [
        ({}, {}, "default"),
        ({"chatmode": "feature-implementation"}, {}, "feature-implementation"),
        ({"chatmode": "feature-implementation"}, {"chatmode": "bug-fix"}, "bug-fix"),
    ],
)
def test_chatmode_of_stage_workflow_or_default(
    host: Host, metadata: dict[str, str], stage: dict[str, str], expected: str
) -> None:
    """The chatmode is the stage's, else the workflow's, else `default`."""
    run(
        host,
        f"""
        with WorkflowTracer("own", {metadata!r}) as w:
            with w.stage_context("s", "backend", {stage!r}): pass
    """,
    )
    assert host.counters("sw") == {("none", "backend-engineer", expected): 1}


def test_active_chatmode_precedes_declared(host: Host) -> None:
    """The active chatmode takes precedence over the declared workflow's."""
    run(
        host,
        """
        with context(chatmode="bug-fix"), WorkflowTracer("package_release") as w:
            w.trace_stage("version_bump", "backend", lambda: 1)
    """,
    )
    assert host.counters("sw") == {("none", "backend-engineer", "bug-fix"): 1}


@pytest.mark.parametrize(
    "failure",
    [
        "ValueError('no')",
        "QualityGateFailed('no')",
        "KeyboardInterrupt()",
        "SystemExit(0)",
        "GeneratorExit()",
        "asyncio.CancelledError()",
    ],
)
def test_exception_fails_the_gate_and_goes_on(host: Host, failure: str) -> None:
    """An exception in a stage fails its gate and reaches the caller unchanged."""
    out = run(
        host,
        f"""
        error = {failure}
        def stage(): raise error
        try:
            with WorkflowTracer("w") as w:
                w.trace_stage("s", "backend", stage)
        except BaseException as seen:
            print(seen is error)
    """,
    )
    assert out == "True\n"
    assert host.counters("qg") == {("w", "s", "fail"): 1}


@pytest.mark.predecessor("D12")
@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("False", "pass"),
        ("None", "pass"),
        ("{'quality_gate_passed': False}", "fail"),
        ("{'quality_gate_passed': True}", "pass"),
        ("{'quality_gate_passed': 0}", "pass"),
        ("type('R', (), {'quality_gate_passed': False})()", "fail"),
    ],
)
def test_a_result_is_a_verdict_only_where_it_says_so(host: Host, value: str, result: str) -> None:
    run(
        host,
        f"""
        with WorkflowTracer("w") as w:
            w.trace_stage("s", "backend", lambda: {value})
    """,
    )
    assert host.counters("qg") == {("w", "s", result): 1}


@pytest.mark.predecessor("D12")
def test_exception_overrides_a_pass(host: Host) -> None:
    """An explicit verdict counts, but a later exception still fails the gate."""
    run(
        host,
        """
        with WorkflowTracer("w") as w:
            with w.stage_context("negative", "backend") as stage:
                stage.set_quality_gate(True)
                stage.set_quality_gate(False, "coverage 61 % < 80 %")
            assert stage.quality_gate_passed is False and stage.duration_seconds > 0
            try:
                with w.stage_context("broken", "backend") as stage:
                    stage.set_quality_gate(True)
                    raise ValueError
            except ValueError:
                pass
    """,
    )
    assert host.counters("qg") == {("w", "negative", "fail"): 1, ("w", "broken", "fail"): 1}


@pytest.mark.predecessor("D15")
def test_async_stage_takes_any_callable(host: Host) -> None:
    """Async stages take sync and async functions, callable objects and awaitables."""
    out = run(
        host,
        """
        class LLM:
            async def __call__(self, prompt, persona=None, stage_name=None):
                await asyncio.sleep(0)
                return prompt, persona, stage_name
        async def main():
            async with WorkflowTracer("w") as w:
                print(await w.trace_stage("sync", "backend", lambda x: x + 1, 1))
                print(await w.trace_stage("object", "backend", LLM(), "hi", persona="p", stage_name="q"))
                print(await w.trace_stage("coroutine", "backend", LLM()("yo")))
                future = asyncio.get_running_loop().create_future(); future.set_result(7)
                print(await w.trace_stage("future", "backend", future))
        asyncio.run(main())
    """,
    )
    assert out.splitlines() == ["2", "('hi', 'p', 'q')", "('yo', None, None)", "7"]
    assert host.counters("qg") == {("w", name, "pass"): 1 for name in ("sync", "object", "coroutine", "future")}


@pytest.mark.predecessor("D15")
@pytest.mark.parametrize("func", ["co", "Obj()", "functools.partial(co)", "co()"])
def test_awaitable_under_with_is_an_error(host: Host, func: str) -> None:
    """An awaitable under `with` is an error that says what to do, before anything runs."""
    out = run(
        host,
        f"""
        import functools
        ran = []
        async def co(): ran.append(1)
        class Obj:
            async def __call__(self): ran.append(1)
        with WorkflowTracer("w") as w:
            try:
                w.trace_stage("s", "backend", {func})
            except TypeError as error:
                print("async with" in str(error), ran)
    """,
    )
    assert out == "True []\n"
    assert host.counters("qg") == {}
    assert host.durations("st") == {}


def test_lambda_with_a_coroutine_never_passes(host: Host) -> None:
    """A lambda that returns a coroutine under `with` never passes its gate."""
    out = run(
        host,
        """
        async def co(): pass
        with WorkflowTracer("w") as w:
            try:
                w.trace_stage("s", "backend", lambda: co())
            except TypeError as error:
                print("async with" in str(error))
    """,
    )
    assert out == "True\n"
    assert host.counters("qg") == {("w", "s", "fail"): 1}


@pytest.mark.predecessor("D12")
def test_a_cancelled_stage_is_a_failed_gate(host: Host) -> None:
    run(
        host,
        """
        async def main():
            started = asyncio.Event()
            async def work():
                started.set()
                await asyncio.Event().wait()
            async def flow():
                async with WorkflowTracer("w") as w:
                    await w.trace_stage("s", "backend", work)
            task = asyncio.create_task(flow())
            await started.wait()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")
        asyncio.run(main())
    """,
    )
    assert host.counters("qg") == {("w", "s", "fail"): 1}


def test_generator_stage_lasts_to_its_end(host: Host) -> None:
    """The stage of a generator lasts until the generator is exhausted."""
    run(
        host,
        """
        def numbers():
            yield from range(3)
        async def letters():
            for letter in "abc":
                yield letter
        with WorkflowTracer("w") as w:
            lazy = w.trace_stage("sync", "backend", numbers)
            get_persona_metrics().flush()
            from hypertool.store.store import Store
            assert Store.locate().read().gates.get(("w", "sync", "pass"), 0) == 0
            assert list(lazy) == [0, 1, 2]
        async def main():
            async with WorkflowTracer("w") as w:
                assert [x async for x in await w.trace_stage("async", "backend", letters)] == ["a", "b", "c"]
        asyncio.run(main())
    """,
    )
    assert host.counters("qg") == {("w", "sync", "pass"): 1, ("w", "async", "pass"): 1}


def test_broken_generator_fails_its_stage_once(host: Host) -> None:
    """A generator that fails or is dropped fails its stage once."""
    run(
        host,
        """
        def broken():
            yield 1
            raise ValueError("no")
        def numbers():
            yield 1
            yield 2
        with WorkflowTracer("w") as w:
            try:
                list(w.trace_stage("broken", "backend", broken))
            except ValueError:
                pass
            next(w.trace_stage("dropped", "backend", numbers))
            w.trace_stage("closed", "backend", numbers).close()
    """,
    )
    assert host.counters("qg") == {("w", name, "fail"): 1 for name in ("broken", "dropped", "closed")}


@pytest.mark.predecessor("D8")
def test_concurrent_stages_of_gather_are_each_recorded(host: Host) -> None:
    run(
        host,
        """
        async def work():
            await asyncio.sleep(0)
        async def main():
            async with WorkflowTracer("w") as w:
                await asyncio.gather(*(w.trace_stage(f"s{i}", "backend", work) for i in range(20)))
        asyncio.run(main())
    """,
    )
    assert host.counters("qg") == {("w", f"s{i}", "pass"): 1 for i in range(20)}


def test_nested_workflow_has_its_own_run(host: Host) -> None:
    """A nested workflow has its own run and budget."""
    out = run(
        host,
        """
        metrics = get_persona_metrics()
        with WorkflowTracer("outer") as outer:
            metrics.record_token_usage("backend", "default", "m", 1900)
            with WorkflowTracer("inner") as inner:
                metrics.record_token_usage("backend", "default", "m", 50)
                print(metrics.get_remaining_budget("backend"), inner.run_id != outer.run_id)
            print(metrics.get_remaining_budget("backend"))
    """,
    )
    assert out == "1950 True\n100\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("WorkflowTracer(3)", "TypeError"),
        ("WorkflowTracer('')", "ValueError"),
        ("WorkflowTracer('w', 'x')", "TypeError"),
        ("WorkflowTracer('w', {1: 2})", "TypeError"),
        ("WorkflowTracer('w', {'chatmode': 3})", "TypeError"),
        ("WorkflowTracer('w').stage_context('s', 'backend')", "ValueError"),
        ("open_workflow().stage_context('s', 'nobody')", "ValueError"),
        ("open_workflow().trace_stage('s', 'backend', 3)", "TypeError"),
        ("open_workflow().__enter__()", "ValueError"),
        ("open_workflow().stage_context('s', 'backend').__enter__().set_quality_gate(1)", "TypeError"),
    ],
)
def test_a_mistake_in_a_call_is_an_error_at_once(host: Host, code: str, error: str) -> None:
    out = run(
        host,
        f"""
        def open_workflow(): return WorkflowTracer('w').__enter__()
        try:
            {code}
        except (TypeError, ValueError) as seen:
            print(type(seen).__name__)
    """,
    )
    assert out == f"{error}\n"


def test_disabled_runs_the_work_and_records_nothing(host: Host) -> None:
    out = run(
        host,
        """
        with WorkflowTracer("w") as w:
            print(w.trace_stage("s", "nobody-knows", lambda: 3))
            with w.stage_context("t", "backend") as stage:
                stage.set_quality_gate(False)
    """,
        HYPERTOOL_DISABLED="1",
    )
    assert out == "3\n"
    assert not host.state.exists()


def test_context_reaches_tasks_not_plain_threads(host: Host) -> None:
    """Persona, chatmode and run reach tasks, to_thread and our executor, but not plain threads."""
    out = run(
        host,
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        from hypertool import WorkflowExecutor
        who = lambda *_: list(current_place())
        async def main():
            async with WorkflowTracer("w", {"chatmode": "bug-fix"}) as w:
                async with w.stage_context("s", "backend"):
                    seen = {"task": await asyncio.create_task(asyncio.to_thread(who))}
                    with WorkflowExecutor(2) as pool:
                        seen["submit"] = pool.submit(who).result()
                        seen["map"] = list(pool.map(who, [1]))[0]
                    with ThreadPoolExecutor(1) as pool:
                        seen["plain"] = pool.submit(who).result()
                    print(json.dumps(seen))
        asyncio.run(main())
    """,
    )
    import json

    mine = ["backend-engineer", "bug-fix"]
    assert json.loads(out) == {"task": mine, "submit": mine, "map": mine, "plain": [None, None]}
