"""Budgets while calls are made: what is reserved, told and refused, in one process and in several."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hypertool import ObservableLLM, PersonaMetricsCollector, TokenBudgetExceeded
from hypertool.domain.personas import Catalogue, Persona
from hypertool.recording.ambient import use_run
from hypertool.runtime.foreign_files import Folder, locked
from tests.support.hypertool_host import Host, wait_until
from tests.support.otlp_receiver import OtlpReceiver

STRICT = "strict"
HEAD = """
import sys, time
from pathlib import Path
from hypertool import ObservableLLM, TokenBudgetExceeded, get_persona_metrics
def reply(tokens):
    return {"object": "chat.completion", "model": "gpt-4o", "choices": [{"finish_reason": "stop"}],
            "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}}
"""


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """Settings of its own for every test."""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def collector(
    window: str = "run", on_exceed: str = "block", tokens: int = 1000, **more: Any
) -> PersonaMetricsCollector:
    persona = Persona(STRICT, tokens, window, on_exceed, **more)
    return PersonaMetricsCollector(CollectorRegistry(), catalogue=Catalogue({STRICT: persona}, 0.0))


def reply(tokens: int) -> dict[str, Any]:
    return {
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens},
    }


def spend(metrics: PersonaMetricsCollector, tokens: int, **more: Any) -> None:
    ObservableLLM(lambda prompt, **rest: reply(tokens), "gpt-4o", metrics=metrics, default_persona=STRICT)("x", **more)


# One process


@pytest.mark.parametrize("window", ["run", "hour", "day"])
def test_each_threshold_is_told_once_a_window(window: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "hypertool")
    metrics = collector(window, "warn")
    for _ in range(30):
        spend(metrics, 50)
    metrics.reset_budget(STRICT)
    spend(metrics, 5000)
    said = [record.getMessage() for record in caplog.records if "of its budget" in record.getMessage()]
    assert (
        said
        == [f"strict has used {share} % of its budget of 1000 tokens (window: {window})" for share in (80, 100)] * 2
    )


def test_tokens_counted_by_hand_reach_thresholds(caplog: pytest.LogCaptureFixture) -> None:
    """Tokens that were counted by hand take part in the thresholds."""
    caplog.set_level("INFO", "hypertool")
    metrics = collector(on_exceed="warn")
    metrics.record_token_usage(STRICT, "default", "m", 850)
    spend(metrics, 10)
    assert [record.args for record in caplog.records if "80 %" in record.getMessage()] != []


@pytest.mark.parametrize("window", ["run", "day"])
def test_threads_overshoot_by_at_most_one_call(window: str) -> None:
    """Threads that call at once overshoot the budget by at most one call."""
    metrics = collector(window)
    decided = threading.Barrier(20, timeout=30)  # no call ends before every thread is let through or blocked
    blocked: list[int] = []

    def ask(prompt: str, max_tokens: int) -> Any:
        decided.wait()
        return reply(300)

    llm = ObservableLLM(ask, "gpt-4o", metrics=metrics, default_persona=STRICT)

    def work() -> None:
        try:
            llm("", max_tokens=300)
        except TokenBudgetExceeded:
            blocked.append(1)
            decided.wait()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(blocked) == 16
    assert metrics.get_remaining_budget(STRICT) == 1000 - 4 * 300
    assert metrics.recorder.reserved == {}


@pytest.mark.parametrize("window", ["run", "hour"])
def test_a_reset_leaves_open_reservations_as_they_are(window: str) -> None:
    metrics = collector(window)
    spend(metrics, 600)
    inside: list[Any] = []

    def ask(prompt: str, max_tokens: int) -> Any:
        metrics.reset_budget(STRICT)
        inside.append(sum(metrics.recorder.reserved.values()))
        return reply(300)

    ObservableLLM(ask, "gpt-4o", metrics=metrics, default_persona=STRICT)("", max_tokens=400)
    assert inside == [400], "all that was left; it is still reserved after the reset"
    assert metrics.recorder.reserved == {}
    assert metrics.get_remaining_budget(STRICT) == 1000 - 300, "the call is of the new window"


def test_a_workflow_may_have_a_budget_of_its_own() -> None:
    metrics = collector(tokens=1000, workflows=(("big", 3000), ("small", 100)))
    with use_run(metrics.open_run("small")):
        assert metrics.get_remaining_budget(STRICT) == 100
        spend(metrics, 100)
        with pytest.raises(TokenBudgetExceeded) as refused:
            spend(metrics, 1)
        assert (refused.value.limit, refused.value.remaining) == (100, 0)
        with pytest.raises(TokenBudgetExceeded):
            metrics.require_budget(STRICT)
    with use_run(metrics.open_run("big")):
        spend(metrics, 2500)
        assert metrics.get_remaining_budget(STRICT) == 500
    with use_run(metrics.open_run("another")):
        assert metrics.get_remaining_budget(STRICT) == 1000
    assert metrics.recorder.counter("exc", STRICT).value == 0


# Several processes


def _config(host: Host, window: str, on_exceed: str = "block", tokens: int = 1000) -> None:
    host.config.write_text(f'[personas.{STRICT}]\ntokens = {tokens}\nwindow = "{window}"\non_exceed = "{on_exceed}"\n')


def _start(host: Host, code: str, name: str = "program") -> subprocess.Popen[str]:
    program = host.home / f"{name}.py"
    if not program.exists() or program.read_text() != HEAD + code:  # another process may be reading it just now
        program.write_text(HEAD + code)
    return host.background(
        [sys.executable, "-u", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


CALL = f"""
def ask(prompt, max_tokens):
    print("in flight", flush=True)
    sys.stdin.readline()
    return reply(300)
llm = ObservableLLM(ask, "gpt-4o", default_persona="{STRICT}")
sys.stdin.readline()
try:
    llm("", max_tokens=300)
    print("made", flush=True)
except TokenBudgetExceeded:
    print("blocked", flush=True)
sys.stdin.readline()
"""


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("window", ["hour", "day"])
def test_processes_overshoot_by_at_most_one_call(host: Host, window: str) -> None:
    """Processes that call at once overshoot the budget by at most one call."""
    _config(host, window)
    processes = [_start(host, CALL) for _ in range(6)]
    for process in processes:
        _tell(process)
    first = [_hear(process) for process in processes]  # all at once: none ends before all have asked
    assert sorted(first) == ["blocked"] * 2 + ["in flight"] * 4
    for process, said in zip(processes, first, strict=True):
        if said == "in flight":
            _tell(process)
            assert _hear(process) == "made"
    for process in processes:
        _, errors = process.communicate("\n", timeout=30)
        assert (process.returncode, errors) == (0, "")
    assert host.read().budgets[STRICT].remaining == 1000 - 4 * 300


def _one_in_flight(host: Host) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    """Two processes of one budget that is enough for one call; the first has begun it."""
    _config(host, "day", tokens=300)
    first, second = _start(host, CALL), _start(host, CALL)
    _tell(first)
    assert _hear(first) == "in flight"
    return first, second


def test_killed_process_holds_no_reservation(host: Host) -> None:
    """The reservation of a killed process is void at once."""
    killed, other = _one_in_flight(host)
    _tell(other)
    assert _hear(other) == "blocked", "the one in flight has reserved all that is left"
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    third = _start(host, CALL)
    _tell(third)
    assert _hear(third) == "in flight"
    third.communicate("\n\n", timeout=30)
    other.communicate("\n", timeout=30)
    assert host.read().budgets[STRICT].remaining == 0


def test_recent_use_counts_for_the_next_processes(host: Host) -> None:
    """What a process has just used counts for those that start next."""
    first, second = _one_in_flight(host)
    _tell(first)
    assert _hear(first) == "made"
    _tell(second)
    assert _hear(second) == "blocked"
    for process in (first, second):
        process.communicate("\n", timeout=30)


def test_process_stopped_while_reserving_holds_none_up(host: Host) -> None:
    """A process that stopped while it reserved holds up no other one."""
    _config(host, "day")
    host.state.mkdir()
    with Folder(host.state) as folder, locked(folder, "reservations.lock"):
        done = host.python(
            HEAD
            + f"""
begun = time.monotonic()
ObservableLLM(lambda prompt: reply(10), "gpt-4o", default_persona="{STRICT}")("x")
assert time.monotonic() - begun < 10
"""
        )
    assert done.returncode == 0, done.stderr
    assert host.read().budgets[STRICT].remaining == 990


@pytest.mark.parametrize("window", ["hour", "day"])
def test_host_reports_each_threshold_once(host: Host, window: str) -> None:
    """The host reports each threshold once, whichever process reaches it."""
    _config(host, window, "warn")
    code = f"""
import logging
logging.basicConfig(level="INFO", format="%(message)s")
llm = ObservableLLM(lambda prompt: reply(20), "gpt-4o", default_persona="{STRICT}")
llm("x")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(24):
    llm("x")
"""
    processes = [_start(host, code) for _ in range(3)]
    for process in processes:
        assert _hear(process) == "ready"
    said = "".join(process.communicate("\n", timeout=60)[1] for process in processes)
    assert host.read().budgets[STRICT].remaining == 1000 - 3 * 25 * 20
    for share in (80, 100):
        assert said.count(f"has used {share} % of its budget") == 1


def test_threshold_is_an_event_of_its_call(host: Host) -> None:
    """A threshold is an event on the span of the call that reached it."""
    _config(host, "day", "warn")
    with OtlpReceiver() as receiver:
        done = host.python(
            HEAD
            + f"""
from hypertool.spans import span as spans
for tokens in (700, 150, 100, 100, 100):
    ObservableLLM(lambda prompt: reply(tokens), "gpt-4o", default_persona="{STRICT}")("x")
assert spans.sink().flush(20)
""",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        )
        assert done.returncode == 0, done.stderr
        found = receiver.wait(5)
    events = [
        (span.attributes["gen_ai.usage.output_tokens"], name, told["percent"], told["window"])
        for span in found
        for name, told in span.events
    ]
    assert events == [(150, "budget_threshold", 80, "day"), (100, "budget_threshold", 100, "day")]


def test_fork_within_a_call_returns_no_parents_tokens(host: Host) -> None:
    """A fork during a call does not give back the parent's tokens."""
    _config(host, "day")
    done = host.python(
        HEAD
        + f"""
import os
def ask(prompt, max_tokens):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        reserved = get_persona_metrics().recorder.reserved
        assert reserved == {{("", "{STRICT}"): 300}}, reserved
    return reply(300)
ObservableLLM(ask, "gpt-4o", default_persona="{STRICT}")("", max_tokens=300)
"""
    )
    assert done.returncode == 0, done.stderr
    wait_until(lambda: host.read().budgets[STRICT].remaining <= 700, "the parent's tokens in the store")
