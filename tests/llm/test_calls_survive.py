"""Every call that has returned is counted, however its process ends a moment later."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.box import until
from tests.support.hypertool_host import Host

_LLM = """
import os, signal, sys, time
from hypertool import ObservableLLM
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
def answer(prompt, seconds=0.0):
    time.sleep(seconds)
    return {"object": "chat.completion", "model": "gpt-4o", "choices": [], "usage": USAGE}
llm = ObservableLLM(answer, "gpt-4o")
"""
_KEY = ("unknown", "default", "gpt-4o")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without sinks."""
    return Host(tmp_path)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_calls_before_a_signal_are_counted(host: Host, end: signal.Signals) -> None:
    """Ten calls of 50 ms, then an unhandled signal: ten are counted."""
    done = host.python(f"{_LLM}\nfor _ in range(10):\n    llm('x', 0.05)\nos.kill(os.getpid(), {int(end)})")
    assert done.returncode == -end
    assert host.counters("tok") == {_KEY: 50}


@pytest.mark.parametrize("calls", [1, 10])
def test_quick_calls_then_sigkill_are_counted(host: Host, calls: int) -> None:
    """The first ten calls of a burst are counted although SIGKILL follows at once."""
    done = host.python(f"{_LLM}\nfor _ in range({calls}):\n    llm('x')\nos.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert host.counters("tok") == {_KEY: 5 * calls}


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_terminated_pool_loses_no_call(host: Host, method: str) -> None:
    """`with Pool() as pool` terminates its workers on leaving: the calls of all their tasks are counted.

    The wrapper that it sends to them has been used here before.
    """
    program = f"""{_LLM}
import multiprocessing
if __name__ == "__main__":
    llm("here")
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert len(pool.map(llm, ["x"] * 50, chunksize=1)) == 50
"""
    done = host.python(program)
    assert done.returncode == 0, done.stderr
    assert host.counters("tok") == {_KEY: 255}


def test_a_long_burst_is_published_soon(host: Host) -> None:
    """Calls that follow each other faster than they can be published are published together within 20 ms."""
    program = f"{_LLM}\nfor _ in range(500):\n    llm('x')\nprint('done', flush=True)\ntime.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", program], env=host.environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            until("500 calls in the store", 30, lambda: host.counters("tok") == {_KEY: 2500} or None)
        finally:
            process.kill()
