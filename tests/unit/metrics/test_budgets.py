"""Token budgets: windows, several processes, blocking, resets, and what the gauge says."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hypertool import PersonaMetricsCollector, TokenBudgetExceeded
from hypertool.domain.personas import Catalogue, Persona
from hypertool.recording.ambient import use_run
from hypertool.store.budgets import BudgetState, budgets
from hypertool.store.totals import Totals
from tests.support.hypertool_host import Host, wait_until
from tests.support.store_writers import Process, store
from tests.unit.metrics.collectors import BACKEND, START, Hands

HOUR = 3600.0


def _catalogue(window: str = "run", on_exceed: str = "warn", tokens: int = 2000, loaded_at: float = 1.0) -> Catalogue:
    return Catalogue({BACKEND: Persona(BACKEND, tokens, window, on_exceed, ("backend",), source="test")}, loaded_at)


def _collector(window: str = "run", on_exceed: str = "warn", hands: Hands | None = None) -> PersonaMetricsCollector:
    return PersonaMetricsCollector(
        CollectorRegistry(), catalogue=_catalogue(window, on_exceed), clock=hands.clock if hands else None
    )


def _exceeded(collector: PersonaMetricsCollector) -> int:
    return collector.recorder.counter("exc", BACKEND).value


@pytest.mark.predecessor("D10")
@pytest.mark.parametrize("window", ["run", "day"])
def test_threads_recording_together_lose_nothing(window: str) -> None:
    """Sixteen threads that record at the same time lose no token."""
    collector = _collector(window)
    barrier = threading.Barrier(16)

    def record() -> None:
        barrier.wait()
        for _ in range(500):
            collector.record_token_usage("backend", "default", "simulated", 1)

    threads = [threading.Thread(target=record) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.recorder.counter("tok", BACKEND, "default", "simulated").value == 8000
    assert collector.get_remaining_budget(BACKEND) == 2000 - 8000
    assert _exceeded(collector) == 1, "one window was overspent, by whichever thread"


@pytest.mark.predecessor("D2", "D5")
def test_overspending_counts_once_per_window() -> None:
    """Overspending counts once per window, and the gauge goes below zero."""
    collector = _collector()
    for expected, exceeded in ((1000, 0), (0, 0), (-1000, 1), (-2000, 1)):
        collector.record_token_usage(BACKEND, "default", "simulated", 1000)
        assert (collector.get_remaining_budget(BACKEND), _exceeded(collector)) == (expected, exceeded)
    collector.reset_budget(BACKEND)
    assert collector.get_remaining_budget(BACKEND) == 2000
    collector.record_token_usage(BACKEND, "default", "simulated", 2001)
    assert _exceeded(collector) == 2


@pytest.mark.predecessor("D6")
@pytest.mark.parametrize(("window", "length"), [("hour", HOUR), ("day", 24 * HOUR)])
def test_clock_window_rolls_over_at_its_end(window: str, length: float) -> None:
    """An hour or day window ends exactly at its end, not earlier."""
    hands = Hands()
    collector = _collector(window, hands=hands)
    collector.record_token_usage(BACKEND, "default", "simulated", 2500)
    hands.now = START + length - 0.001
    collector.record_token_usage(BACKEND, "default", "simulated", 100)
    assert (collector.get_remaining_budget(BACKEND), _exceeded(collector)) == (-600, 1)
    hands.now = START + length
    assert collector.get_remaining_budget(BACKEND) == 2000
    collector.record_token_usage(BACKEND, "default", "simulated", 2001)
    assert (collector.get_remaining_budget(BACKEND), _exceeded(collector)) == (-1, 2)


def test_old_windows_are_forgotten() -> None:
    """A process that lives for years keeps a bounded number of windows."""
    hands = Hands()
    collector = _collector("hour", hands=hands)
    for _ in range(1000):
        hands.now += HOUR
        collector.record_token_usage(BACKEND, "default", "simulated", 1)
    assert len(collector.recorder.windows) <= 50


@pytest.mark.predecessor("D6")
def test_each_run_has_its_own_budget() -> None:
    """Every run starts with a full budget; a nested run has its own."""
    collector = _collector()
    outer = collector.open_run("outer")
    with use_run(outer):
        collector.record_token_usage(BACKEND, "default", "simulated", 1900)
        inner = collector.open_run("inner")
        with use_run(inner):
            assert collector.get_remaining_budget(BACKEND) == 2000
            collector.record_token_usage(BACKEND, "default", "simulated", 500)
            assert collector.get_remaining_budget(BACKEND) == 1500
        collector.close_run(inner)
        assert collector.get_remaining_budget(BACKEND) == 100
    collector.close_run(outer)
    assert collector.get_remaining_budget(BACKEND) == 2000
    with use_run(outer):  # work that goes on after its run belongs to no run any more
        collector.record_token_usage(BACKEND, "default", "simulated", 1)
        assert collector.get_remaining_budget(BACKEND) == 1999
    assert collector.recorder.ended[BACKEND][1] == 100


def test_block_refuses_when_nothing_is_left() -> None:
    """With `block`, a call is refused before it is made once nothing is left."""
    collector = _collector(on_exceed="block")
    collector.record_token_usage(BACKEND, "default", "simulated", 1999)
    collector.require_budget("backend")
    collector.record_token_usage(BACKEND, "default", "simulated", 1)
    with pytest.raises(TokenBudgetExceeded, match=f"hypertool budget --persona {BACKEND} --reset") as refused:
        collector.require_budget("backend")
    assert (refused.value.persona, refused.value.limit, refused.value.remaining) == (BACKEND, 2000, 0)
    collector.reset_budget(BACKEND)
    collector.require_budget(BACKEND)


def test_warn_and_disabled_never_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `warn` nor a disabled package refuses a call."""
    warning, blocking = _collector(), _collector(on_exceed="block")
    for collector in (warning, blocking):
        collector.record_token_usage(BACKEND, "default", "simulated", 5000)
    warning.require_budget(BACKEND)
    monkeypatch.setenv("HYPERTOOL_DISABLED", "1")
    blocking.require_budget(BACKEND)


@pytest.mark.parametrize("reserved", ["unknown", "none", "other"])
def test_reserved_names_have_no_budget(reserved: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        _collector().get_remaining_budget(reserved)


# The gauge of the host


def _gauge(path: Path, now: float, catalogue: Catalogue | None = None) -> BudgetState:
    using = store(path)
    return budgets(catalogue or _catalogue(), using.merge().totals, using.resets.read(), now)[BACKEND]


def _process(path: Path, hands: Hands, catalogue: Catalogue | None = None) -> Process:
    process = Process(path, catalogue or _catalogue())
    process.recorder.clock = hands.clock
    return process


def test_gauge_over_active_and_ended_runs(tmp_path: Path) -> None:
    """The gauge shows the least left of the active runs, then the last ended run, then the full budget."""
    hands = Hands()
    assert _gauge(tmp_path, hands.now).remaining == 2000
    first = _process(tmp_path, hands).tokens(500).publish()
    second = _process(tmp_path, hands).tokens(2300).publish()
    assert _gauge(tmp_path, hands.now).remaining == -300
    second.recorder.close_implicit()
    second.publish()
    assert _gauge(tmp_path, hands.now).remaining == 1500
    hands.now += 60
    first.recorder.close_implicit()
    first.publish().die()
    second.die()
    for _ in range(2):  # before and after folding
        assert _gauge(tmp_path, hands.now).remaining == 1500, "the last one that ended"
        assert _gauge(tmp_path, hands.now + 899).remaining == 1500
        assert _gauge(tmp_path, hands.now + 900).remaining == 2000, "after 15 minutes: what the next run starts with"
        store(tmp_path).fold()
    third = _process(tmp_path, hands).tokens(1).publish()
    assert _gauge(tmp_path, hands.now).remaining == 1999, "a run that is active wins over one that ended"
    third.die()


def test_killed_run_ended_at_last_snapshot(tmp_path: Path) -> None:
    """The run of a killed process counts as ended at its last snapshot."""
    hands = Hands()
    _process(tmp_path, hands).tokens(2400).publish().die()
    assert store(tmp_path).fold() == 1
    assert _gauge(tmp_path, hands.now + 899).remaining == -400
    assert _gauge(tmp_path, hands.now + 900).remaining == 2000


def test_reset_fills_the_gauge_at_once(tmp_path: Path) -> None:
    """A reset shows on the gauge at once, before a running process has read it."""
    hands = Hands()
    process = _process(tmp_path, hands).tokens(2500).publish()
    store(tmp_path).reset_budget(BACKEND)
    assert _gauge(tmp_path, hands.now).remaining == 2000
    process.die()
    store(tmp_path).fold()
    assert _gauge(tmp_path, hands.now).remaining == 2000


def test_hour_window_is_shared_by_processes(tmp_path: Path) -> None:
    """All processes share an hour window, and its overspending counts once."""
    hands, catalogue = Hands(), _catalogue("hour")
    hands.now = now = time.time()
    processes = [_process(tmp_path, hands, catalogue).tokens(800).publish() for _ in range(3)]
    using = store(tmp_path)
    assert _gauge(tmp_path, hands.now, catalogue).remaining == -400
    overspent = [(BACKEND, int(now // 3600) * 3600, 0)]
    for _ in range(3):
        using.archive.fold(now, overspent)
    assert _gauge(tmp_path, hands.now, catalogue).exceeded == 1
    for process in processes:
        process.die()
    using.fold(catalogue)
    assert _gauge(tmp_path, hands.now, catalogue).remaining == -400
    assert _gauge(tmp_path, hands.now + HOUR, catalogue).remaining == 2000


def test_fold_finds_overspent_windows(tmp_path: Path) -> None:
    """A fold finds overspent windows by the limits in the snapshots."""
    hands, catalogue = Hands(), _catalogue("day")
    hands.now = time.time()
    living = _process(tmp_path, hands, catalogue).tokens(1500).publish()
    _process(tmp_path, hands, catalogue).tokens(1500).publish().die()
    exporter = Catalogue({}, 0.0)  # knows nothing of this persona
    using = store(tmp_path)
    for _ in range(3):
        using.fold(exporter)
    assert using.merge().totals.counters["exc", BACKEND] == 1
    living.die()


def test_a_lost_register_of_resets_forgets_no_use(tmp_path: Path) -> None:
    hands, catalogue = Hands(), _catalogue("hour")
    number = store(tmp_path).reset_budget(BACKEND)
    process = _process(tmp_path, hands, catalogue)
    process.recorder.resets_seen = {BACKEND: number}
    process.tokens(1500).publish()
    assert _gauge(tmp_path, hands.now, catalogue).remaining == 500
    (tmp_path / "resets.json").unlink()
    assert _gauge(tmp_path, hands.now, catalogue).remaining == 500


def test_limits_travel_and_the_newest_wins(tmp_path: Path) -> None:
    hands = Hands()
    default = Catalogue({BACKEND: Persona(BACKEND, 2000)}, 1.0)
    _process(tmp_path, hands, _catalogue(tokens=5000, loaded_at=10.0)).publish()
    assert _gauge(tmp_path, hands.now, default).limit == 5000
    _process(tmp_path, hands, _catalogue(tokens=4000, loaded_at=5.0)).publish()
    assert _gauge(tmp_path, hands.now, default).limit == 5000
    _process(tmp_path, hands, _catalogue(tokens=3000, loaded_at=20.0)).publish()
    assert _gauge(tmp_path, hands.now, default).limit == 3000
    assert _gauge(tmp_path, hands.now, _catalogue(tokens=9000, loaded_at=30.0)).limit == 9000
    # The user's own file is removed: what runs with the defaults again says so once it uses the persona.
    again = Catalogue({BACKEND: Persona(BACKEND, 2000)}, 40.0)
    _process(tmp_path, hands, again).tokens(1).publish()
    assert _gauge(tmp_path, hands.now, default) == BudgetState(2000, 1999, "run", 0)


# Running processes

BLOCK = f"""
[personas.{BACKEND}]
window = "WINDOW"
on_exceed = "block"
"""


def _waiting(host: Host, tokens: int, code: str) -> Callable[[], str]:
    """A process that has used these tokens, and does the rest of its code once the function is called."""
    program = host.home / "waiting.py"
    head = f"""
import sys, time
from hypertool import get_persona_metrics
m = get_persona_metrics()
m.record_token_usage("{BACKEND}", "default", "simulated", {tokens})
m.flush()
print("ready", flush=True)
"""
    program.write_text(head + code)
    process = host.background([sys.executable, "-u", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def end() -> str:
        try:
            return process.communicate("\n", timeout=20)[0]
        finally:
            process.kill()

    return end


@pytest.mark.parametrize("window", ["run", "hour"])
def test_reset_reaches_a_running_process(host: Host, window: str) -> None:
    """A reset reaches a running process within two seconds."""
    host.config.write_text(BLOCK.replace("WINDOW", window))
    end = _waiting(
        host,
        2500,
        f"""
began = None
sys.stdin.readline()
began = time.monotonic()
while m.get_remaining_budget("{BACKEND}") != 2000:
    left = m.get_remaining_budget("{BACKEND}")
    assert time.monotonic() - began < 10, f"waited 10 s for the reset to show, in vain: {{left}} tokens are left"
    time.sleep(0.01)
m.require_budget("{BACKEND}")
print(time.monotonic() - began)
""",
    )
    host.store.reset_budget(BACKEND)
    assert float(end()) < 2


def test_shared_hour_blocks_both_processes(host: Host) -> None:
    """Two processes share an hour window, and both are blocked when it is used up."""
    host.config.write_text(BLOCK.replace("WINDOW", "day"))
    end = _waiting(
        host,
        1500,
        f"""
sys.stdin.readline()
print(m.get_remaining_budget("{BACKEND}"))
try:
    m.require_budget("{BACKEND}")
except Exception as error:
    print(type(error).__name__)
""",
    )
    done = host.python(f"""
        from hypertool import get_persona_metrics
        m = get_persona_metrics()
        print(m.get_remaining_budget("{BACKEND}"))
        m.record_token_usage("{BACKEND}", "default", "simulated", 700)
    """)
    assert (done.stdout, done.stderr) == ("500\n", "")
    wait_until(lambda: sum(host.read().tokens.values()) == 2200, "both processes in the store")
    assert end() == "-200\nTokenBudgetExceeded\n"


def test_totals_of_nobody_are_full() -> None:
    assert budgets(_catalogue(), Totals(), {}, START) == {BACKEND: BudgetState(2000, 2000, "run", 0)}
