"""Retry: every attempt is counted, traced and paid for, and what must not be repeated is not."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.unit.patterns.programs import gates, named, run, tokens, tree

POLICY = """
from tenacity import retry_if_result, stop_after_attempt, wait_fixed, wait_none
@retried(wait=wait_none())
def ask(fails):
    llm("go", 10)
    calls.append(1)
    if len(calls) <= fails:
        raise ConnectionError(f"no answer {len(calls)}")
    return len(calls)
calls = []
"""


def failed(host: Host) -> str:
    """What a stage ends with whose function never gets an answer."""
    return run(
        host,
        POLICY
        + """
with WorkflowTracer("w") as w:
    try:
        w.trace_stage("fetch", "backend", ask, 9)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
""",
    )


def test_each_attempt_is_a_step(traced: Host, receiver: OtlpReceiver) -> None:
    """Two failures and a success: three attempts, paid for, in one stage that passes."""
    program = 'with WorkflowTracer("w") as w:\n    print(w.trace_stage("fetch", "backend", ask, 2))\n'
    assert run(traced, POLICY + program) == "3\n"
    assert gates(traced) == {"fetch": "1 pass", "fetch.attempt": "1 pass, 2 fail"}
    assert tokens(traced) == {"backend-engineer": 30}
    assert traced.counters("sw") == {("none", "backend-engineer", "default"): 1}
    assert traced.durations("st")["w", "fetch.attempt", "backend-engineer"][0] == 3
    receiver.wait(8)
    failed, passed = (
        ["    stage.fetch.attempt !", "      chat simulated"],
        ["    stage.fetch.attempt", "      chat simulated"],
    )
    assert tree(receiver) == ["workflow.w", "  stage.fetch", *failed, *failed, *passed]
    attempts = named(receiver, "stage.fetch.attempt")
    assert [span.attributes["retry.attempt"] for span in attempts] == [1, 2, 3]
    assert {span.attributes["stage.persona"] for span in attempts} == {"backend-engineer"}
    assert {span.attributes["hypertool.pattern"] for span in attempts} == {"retry"}


def test_last_attempt_raises_as_it_is(host: Host) -> None:
    """After the third failure the caller gets the exception of the function itself, and the stage fails."""
    assert failed(host) == "ConnectionError: no answer 3\n"
    assert gates(host) == {"fetch": "1 fail", "fetch.attempt": "3 fail"}


def test_options_are_tenacity_s(host: Host) -> None:
    """A result can be the reason for another attempt, and its negative verdict fails the attempt's gate."""
    out = run(
        host,
        POLICY
        + """
@retried(stop=stop_after_attempt(4), wait=wait_fixed(0), retry=retry_if_result(lambda r: not r["quality_gate_passed"]))
def judged():
    calls.append(1)
    return {"quality_gate_passed": len(calls) > 1}
with WorkflowTracer("w") as w:
    print(w.trace_stage("review", "testing", judged))
""",
    )
    assert out == "{'quality_gate_passed': True}\n"
    assert gates(host) == {"review": "1 pass", "review.attempt": "1 pass, 1 fail"}


def test_refused_budget_is_not_retried(host: Host) -> None:
    """A budget that blocks stops the retries at once."""
    host.config.write_text('[personas.backend-engineer]\ntokens = 15\non_exceed = "block"\n')
    assert failed(host).startswith("TokenBudgetExceeded: ")
    assert gates(host)["fetch.attempt"] == "3 fail"
    assert host.counters("llm")["backend-engineer", "simulated", "blocked"] == 1


@pytest.mark.parametrize("how", ["timeout", "cancellation"])
def test_async_attempt_that_hangs(traced: Host, receiver: OtlpReceiver, how: str) -> None:
    """An attempt that times out is repeated; a cancelled one is not."""
    out = run(
        traced,
        f"""
        from tenacity import wait_none
        begun, calls = [], []
        async def service():
            await llm_async("go", 10)
            calls.append(1)
            begun[0].set()
            if len(calls) == 1:
                await asyncio.Event().wait()
            return "answer"
        @retried(wait=wait_none())
        async def ask():
            return await (asyncio.wait_for(service(), 0.3) if {how!r} == "timeout" else service())
        async def main():
            begun.append(asyncio.Event())
            async with WorkflowTracer("w") as w:
                running = asyncio.ensure_future(w.trace_stage("fetch", "backend", ask))
                if {how!r} == "cancellation":
                    await begun[0].wait()
                    running.cancel()
                print(*(await asyncio.gather(running, return_exceptions=True)), len(calls))
        asyncio.run(main())
    """,
    )
    receiver.wait(4)
    attempts = named(receiver, "stage.fetch.attempt")
    if how == "timeout":
        assert out == "answer 2\n"
        assert gates(traced) == {"fetch": "1 pass", "fetch.attempt": "1 pass, 1 fail"}
        assert attempts[0].attributes["error.type"].endswith("TimeoutError")
    else:
        assert out.split() == ["1"]
        assert gates(traced) == {"fetch": "1 fail", "fetch.attempt": "1 fail"}
        assert attempts[0].attributes["error.type"].endswith("CancelledError")
    assert tokens(traced) == {"backend-engineer": 10 * len(attempts)}


def test_a_pattern_outside_of_a_stage_works(host: Host) -> None:
    """It is not measured, and says so once."""
    done = host.python(
        "from tenacity import wait_none\nfrom hypertool.patterns import retried\n"
        "@retried(wait=wait_none())\ndef ask(): return 1\nprint(ask() + ask())\n"
    )
    assert (done.returncode, done.stdout) == (0, "2\n")
    (line,) = done.stderr.splitlines()
    assert "outside of a stage" in line
    assert "stage_context" in line
    assert gates(host) == {}


@pytest.mark.parametrize(("pattern", "library"), [("retried()", "tenacity"), ("Guard(None)", "pybreaker")])
def test_missing_library_says_what_to_install(host: Host, pattern: str, library: str) -> None:
    done = host.python(
        f"import sys; sys.modules[{library!r}] = None\nimport hypertool.patterns as p\n"
        f"try:\n    p.{pattern}\nexcept ImportError as error:\n    print(error)\n"
    )
    assert f"needs {library}" in done.stdout
    assert "pip install 'hypertool-observability[patterns]'" in done.stdout
