"""Circuit breaker: calls, refusals, trips and recoveries are steps; a half-open circuit tries one call."""

from __future__ import annotations

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver
from tests.unit.patterns.programs import gates, named, run, tokens, tree

HEAD = """
import pybreaker
def outcome(work, *arguments):
    try:
        return work(*arguments)
    except Exception as error:
        return type(error).__name__
breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=3600, name="model")
guard = Guard(breaker)
@guard
def ask(works):
    llm("go", 10)
    if not works:
        raise ConnectionError("down")
    return "answer"
"""


def test_trip_refusal_and_recovery_are_steps(traced: Host, receiver: OtlpReceiver) -> None:
    """Two failures open the circuit, which then costs nothing; a good trial closes it."""
    out = run(
        traced,
        HEAD
        + """
with WorkflowTracer("w") as w:
    with w.stage_context("answer", "backend"):
        print(outcome(ask, False), outcome(ask, False), outcome(ask, True), outcome(ask, True), guard.state)
        breaker.reset_timeout = 0
        print(outcome(ask, True), guard.state)
""",
    )
    assert gates(traced) == {
        "answer": "1 pass",
        "answer.call": "1 pass, 2 fail",
        "answer.tripped": "1 fail",
        "answer.refused": "2 fail",
        "answer.recovered": "1 pass",
    }
    assert out == "ConnectionError CircuitBreakerError CircuitBreakerError CircuitBreakerError open\nanswer closed\n"
    assert tokens(traced) == {"backend-engineer": 30}
    receiver.wait(12)
    assert [line.strip() for line in tree(receiver) if "chat" not in line] == [
        *("workflow.w", "stage.answer", "stage.answer.call !", "stage.answer.call !", "stage.answer.tripped !"),
        *("stage.answer.refused !", "stage.answer.refused !", "stage.answer.call", "stage.answer.recovered"),
    ]
    (tripped,) = named(receiver, "stage.answer.tripped")
    assert tripped.attributes["stage.quality_gate_reason"] == "opened after 2 failures"
    assert (tripped.attributes["breaker.name"], tripped.attributes["breaker.state"]) == ("model", "open")


def test_half_open_tries_one_call(host: Host) -> None:
    """While the trial runs, others are refused; a bad trial opens the circuit again; calls run side by side."""
    out = run(
        host,
        HEAD
        + """
both = threading.Barrier(2, timeout=20)
side_by_side = guard(lambda given: both.wait() >= 0)
begun, go = threading.Event(), threading.Event()
@guard
def slow(given):
    begun.set(), go.wait(20)
    return ask.__wrapped__(given)
def beside(given):
    begun.wait(20)
    told = outcome(ask, True)
    go.set()
    return told
with WorkflowTracer("w") as w:
    print(parallel(w, [Task("s", "backend", side_by_side), Task("t", "testing", side_by_side)]))
    with w.stage_context("open", "backend"):
        breaker.open()
    breaker.reset_timeout = 0
    for works in (False, True):
        begun.clear(), go.clear()
        trial = Task("trial", "backend", lambda given: outcome(slow, works))
        print(parallel(w, [trial, Task("beside", "testing", beside)]), breaker.current_state)
""",
    )
    assert out.splitlines() == [
        "[True, True]",
        "['CircuitBreakerError', 'CircuitBreakerError'] open",
        "['answer', 'CircuitBreakerError'] closed",
    ]
    found = gates(host)
    assert (found["trial.call"], found["trial.tripped"], found["trial.recovered"]) == (
        "1 pass, 1 fail",
        "1 fail",
        "1 pass",
    )
    assert found["beside.refused"] == "2 fail"


@pytest.mark.parametrize("state", ["closed", "half-open"])
def test_cancelled_call_is_no_verdict(host: Host, state: str) -> None:
    """A cancelled call neither opens a closed circuit nor closes a half-open one; a timeout inside counts."""
    out = run(
        host,
        HEAD
        + f"""
@guard
async def hang():
    begun.set()
    await asyncio.Event().wait()
@guard
async def slow():
    await asyncio.wait_for(asyncio.Event().wait(), 0.05)
async def main(w):
    global begun
    with w.stage_context("answer", "backend"):
        for _ in range(3):
            begun = asyncio.Event()
            running = asyncio.ensure_future(hang())
            await begun.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            print(guard.state)
        for _ in range(2):
            await asyncio.gather(slow(), return_exceptions=True)
        breaker.reset_timeout = 3600
        print(guard.state)
if {state!r} == "half-open":
    breaker.open()
    breaker.reset_timeout = 0
with WorkflowTracer("w") as w:
    asyncio.run(main(w))
""",
    )
    kept = "closed" if state == "closed" else "open"
    assert out.split() == [kept, kept, kept, "open"]
    assert gates(host)["answer.call"] == "5 fail"
    assert "answer.recovered" not in gates(host)
