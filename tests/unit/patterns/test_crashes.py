"""A process that is killed in the middle of a pattern: what had ended is exact, what had not is a failed gate."""

from __future__ import annotations

import signal
import textwrap

import pytest

from tests.support.hypertool_host import Host
from tests.unit.patterns.programs import HEAD, gates, tokens

DIE = """
from hypertool import get_persona_metrics
def die(*given):
    get_persona_metrics().flush()  # Of the last second before a death, what is not yet published may be lost.
    os.kill(os.getpid(), signal.SIGKILL)
"""
CASES = {
    "sequential": (
        """
        with WorkflowTracer("w") as w:
            sequential(w, [Task("a", "backend", lambda given: llm("go", 10)), Task("b", "testing", die)])
        """,
        {"a": "1 pass", "b": "1 fail"},
        {"backend-engineer": 10},
    ),
    "parallel": (
        """
        both = threading.Barrier(2, timeout=20)
        def work(given):
            llm("go", 10)
            both.wait() or die()
            threading.Event().wait(20)
        with WorkflowTracer("w") as w:
            parallel(w, [Task("a", "backend", work), Task("b", "testing", work)])
        """,
        {"a": "1 fail", "b": "1 fail"},
        {"backend-engineer": 10, "testing-specialist": 10},
    ),
    "retry": (
        """
        from tenacity import wait_none
        calls = []
        @retried(wait=wait_none())
        def ask():
            llm("go", 10)
            calls.append(1)
            die() if len(calls) == 2 else 1 / 0
        with WorkflowTracer("w") as w:
            w.trace_stage("fetch", "backend", ask)
        """,
        {"fetch": "1 fail", "fetch.attempt": "2 fail"},
        {"backend-engineer": 20},
    ),
    "cache": (
        """
        ask = cached()(lambda question: die() if question == "last" else llm(question, 10))
        with WorkflowTracer("w") as w:
            with w.stage_context("s", "backend"):
                ask("first"), ask("first"), ask("last")
        """,
        {"s": "1 fail", "s.miss": "1 pass, 1 fail", "s.hit": "1 pass"},
        {"backend-engineer": 10},
    ),
    "complex": (
        """
        import pybreaker
        guard = Guard(pybreaker.CircuitBreaker(fail_max=1, reset_timeout=3600))
        def broken(question):
            llm("go", 10)
            raise OSError
        memory = SharedMemory()
        answer = fallback(primary=guard(broken), other=die)
        router = Router(lambda question: memory.remember("question", question) or "hard", {"hard": answer})
        with WorkflowTracer("w") as w:
            w.trace_stage("s", "backend", router, "why?")
        """,
        {
            "s": "1 fail",
            "s.route": "1 pass",
            "s.hard": "1 fail",
            "s.primary": "1 fail",
            "s.call": "1 fail",
            "s.tripped": "1 fail",
            "s.other": "1 fail",
        },
        {"backend-engineer": 10},
    ),
}


@pytest.mark.parametrize("pattern", CASES)
def test_kill_in_the_middle(host: Host, pattern: str) -> None:
    code, expected, used = CASES[pattern]
    done = host.python(HEAD + DIE + textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert host.store.fold() == 1
    assert gates(host) == expected
    assert tokens(host) == used
