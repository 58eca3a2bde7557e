"""What the predecessor got wrong about Langfuse, done with a server that applies the published mapping."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.sinks import HEAD, run

WITHOUT_THE_PACKAGE = """
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "langfuse":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
print(hypertool.get_langfuse_integration().enabled)
with WorkflowTracer("bug_fix") as w, w.stage_context("investigation", "obs"):
    llm("x")
"""


@pytest.mark.predecessor("D16")
def test_enabled_tracing_arrives_without_a_package(host: Host, langfuse: LangfuseReceiver) -> None:
    """What is said to be enabled arrives, and needs no version of the langfuse package."""
    assert run(host, WITHOUT_THE_PACKAGE, **langfuse.environment) == "True\n"
    assert sorted(span.name for span in langfuse.wait(3)) == ["chat gpt-4o", "stage.investigation", "workflow.bug_fix"]
    assert {path for path, _ in langfuse.requests} <= {"/api/public/otel/v1/traces", "/api/public/ingestion"}


@pytest.mark.predecessor("D17")
def test_generation_lasts_as_long_as_its_call(host: Host, langfuse: LangfuseReceiver) -> None:
    """A generation lasts as long as its call, and a failed one is an error in the same trace."""
    run(
        host,
        """
        import time

        def slow(prompt):
            time.sleep(0.3)
            return REPLY

        def fails(prompt):
            time.sleep(0.1)
            raise TimeoutError("the provider")

        with WorkflowTracer("bug_fix") as w, w.stage_context("investigation", "obs"):
            ObservableLLM(slow, "slow")("x")
            try:
                ObservableLLM(fails, "fails")("x")
            except TimeoutError:
                pass
    """,
        **langfuse.environment,
    )
    langfuse.wait(4)
    workflow, stage = langfuse.by_name("workflow.bug_fix"), langfuse.by_name("stage.investigation")
    slow, fails = langfuse.by_name("chat slow"), langfuse.by_name("chat fails")
    assert 0.3 <= (slow.end - slow.start) / 1e9 < 20
    assert 0.1 <= (fails.end - fails.start) / 1e9 < 20
    times = [workflow.start, stage.start, slow.start, slow.end, fails.start, fails.end, stage.end, workflow.end]
    assert times == sorted(times)
    assert {span.trace_id for span in langfuse.spans} == {workflow.trace_id}
    assert (slow.parent_id, fails.parent_id) == (stage.span_id, stage.span_id)
    broken = langfuse.observation("chat fails")
    assert (broken.type, broken.level) == ("GENERATION", "ERROR")
    assert "TimeoutError" in (broken.status_message or "")
    assert {one.user for one in langfuse.observations} == {None, "observability-expert"}, "no made-up users"


@pytest.mark.predecessor("D17")
def test_event_loop_never_waits_for_the_server(host: Host, langfuse: LangfuseReceiver) -> None:
    """No trace makes the event loop wait for the server."""
    langfuse.delay = 2.0
    done = host.python(
        HEAD
        + """
import asyncio, time

async def later(prompt):
    await asyncio.sleep(0)
    return REPLY

async def main():
    longest, last, over = 0.0, time.monotonic(), asyncio.Event()

    async def tick():
        nonlocal longest, last
        while not over.is_set():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    ticking = asyncio.create_task(tick())
    observed = ObservableLLM(later, "later")
    await observed("x")
    await asyncio.sleep(0.1)
    longest = 0.0
    for _ in range(20):
        async with WorkflowTracer("bug_fix") as w, w.stage_context("investigation", "obs"):
            await observed("x")
        await asyncio.sleep(0.1)
    over.set()
    await ticking
    return longest

print(asyncio.run(main()))
""",
        **langfuse.environment,
    )
    assert done.returncode == 0, done.stderr
    # A request takes two seconds: code that waits for one waits that long.
    assert float(done.stdout) < 1.5


@pytest.mark.predecessor("D18")
def test_the_calls_that_its_guides_show_work(host: Host, langfuse: LangfuseReceiver) -> None:
    run(
        host,
        f"""
        from hypertool import LangfuseIntegration
        integration = LangfuseIntegration(public_key="pk-lf-test", secret_key="sk-lf-test-secret",
                                          host={langfuse.url!r})
        trace = integration.start_trace(name="review", persona="backend-engineer", chatmode="bug-fix",
                                        metadata={{"ticket": "T-1"}})
        span = integration.start_span(trace, "read")
        integration.end_span(span)
        integration.create_generation(trace=trace, name="ask", model="gpt-4o", prompt="p", completion="c",
                                      usage={{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})
        integration.end_trace(trace, status="success", output="the result")
        integration.flush()
    """,
    )
    assert sorted(span.name for span in langfuse.wait(3)) == ["ask", "read", "review"]


@pytest.mark.predecessor("D19")
def test_sync_call_of_an_async_llm_works_anywhere(host: Host) -> None:
    """A sync call of an async LLM works after any loop and in every thread."""
    out = run(
        host,
        """
        import threading

        async def later(prompt):
            await asyncio.sleep(0)
            return REPLY

        observed, seen = ObservableLLM(later, "later"), []
        asyncio.run(later("x"))
        seen.append(observed.wrap_sync("x") is REPLY)
        threads = [threading.Thread(target=lambda: seen.append(observed.wrap_sync("x") is REPLY)) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        seen.append(asyncio.run(observed("x")) is REPLY)
        print(seen)
    """,
    )
    assert out == f"{[True] * 5}\n"
