"""Forks, signals and exits: nothing is lost, nothing is counted twice, nothing holds a process up."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.support.hypertool_host import Host, wait_until

BACKEND = ("backend-engineer", "default", "simulated")
HEAD = """
import multiprocessing, os, signal, sys, threading, time, warnings
# From Python 3.12 on, every fork beside a thread says so.
warnings.filterwarnings("ignore", "This process .* is multi-threaded")
from hypertool import PersonaMetricsCollector, WorkflowTracer, get_persona_metrics
metrics = get_persona_metrics()
def spend(tokens):
    get_persona_metrics().record_token_usage("backend", "default", "simulated", tokens)
"""


def _run(host: Host, code: str) -> str:
    done = host.python(HEAD + textwrap.dedent(code), seconds=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_fork_counts_its_own_numbers_only(host: Host) -> None:
    _run(
        host,
        """
        spend(1)
        metrics.flush()
        spend(10)
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                spend(100)
                sys.exit()
            children.append(child)
        spend(1000)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    """,
    )
    assert host.counters("tok") == {BACKEND: 1511}
    assert host.store.fold() == 6
    assert host.counters("tok") == {BACKEND: 1511}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_are_counted(host: Host, method: str) -> None:
    """Children of multiprocessing are counted although they skip exit hooks."""
    _run(
        host,
        f"""
        def work(number):
            spend(number)
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            spend(1000)
            processes = [context.Process(target=work, args=(n,)) for n in (1, 10, 100)]
            for p in processes: p.start()
            for p in processes: p.join()
            with context.Pool(2) as pool:
                pool.map(work, [10_000] * 4)
                pool.close()
                pool.join()
    """,
    )
    assert host.counters("tok") == {BACKEND: 41_111}


def test_fork_while_publishing_neither_hangs_nor_loses(host: Host) -> None:
    """A fork while other threads publish hangs nothing and loses nothing."""
    printed = _run(
        host,
        """
        stop = threading.Event()
        done = [0, 0, 0]
        def busy(slot):
            while not stop.is_set():
                spend(1)
                done[slot] += 1
                metrics.flush()
        threads = [threading.Thread(target=busy, args=(slot,)) for slot in range(3)]
        for t in threads: t.start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                spend(1_000_000)
                metrics.flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for t in threads: t.join()
        print(sum(done))
    """,
    )
    assert host.counters("tok") == {BACKEND: int(printed) + 30_000_000}


def test_fork_inside_a_stage_leaves_it_to_the_parent(host: Host) -> None:
    """A fork inside a stage leaves the stage and its session to the parent."""
    _run(
        host,
        """
        with WorkflowTracer("package_release") as workflow:
            with workflow.stage_context("version_bump", "backend"):
                child = os.fork()
                if child == 0:
                    spend(5)
                    sys.exit()
                assert os.waitpid(child, 0)[1] == 0
                spend(7)
    """,
    )
    assert host.counters("qg") == {("package_release", "version_bump", "pass"): 1}
    assert host.counters("tok") == {BACKEND: 12}
    assert host.counters("sw") == {("none", "backend-engineer", "package-release"): 1}
    assert [count for count, _ in host.durations("pd").values()] == [1]
    assert [count for count, _ in host.durations("st").values()] == [1]


def test_isolated_collector_survives_a_locked_fork(host: Host) -> None:
    """An isolated collector can be used after a fork while another thread held its lock."""
    _run(
        host,
        """
        from prometheus_client import CollectorRegistry
        collector = PersonaMetricsCollector(CollectorRegistry())
        held, go = threading.Event(), threading.Event()
        def hold():
            with collector.recorder.lock:
                held.set()
                go.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            collector.record_token_usage("backend", "default", "simulated", 5)
            os._exit(0)
        go.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
    """,
    )


def _start(host: Host, code: str) -> subprocess.Popen[str]:
    program = host.home / "agent.py"
    program.write_text(HEAD + textwrap.dedent(code))
    return host.background([sys.executable, "-u", str(program)], stdout=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signal_loses_at_most_the_last_second(host: Host, number: int) -> None:
    """A death by signal loses no more than the last second."""
    process = _start(
        host,
        """
        print("ready", flush=True)
        while True:
            spend(1)
            print(time.monotonic(), flush=True)
            time.sleep(0.01)
    """,
    )
    assert process.stdout is not None
    try:
        written: list[float] = []
        assert process.stdout.readline() == "ready\n"
        while not written or written[-1] - written[0] < 2.5:
            written.append(float(process.stdout.readline()))
    finally:
        process.send_signal(number)
        written += [float(line) for line in process.communicate(timeout=60)[0].split()]
    kept = host.counters("tok")[BACKEND]
    assert kept <= len(written) + 1
    # Half a second for a machine that is busy with other tests.
    assert written[-1] - written[kept - 1] < 1.5, f"{len(written) - kept} of {len(written)} recordings are lost"


def test_recorded_just_before_exit_is_published(host: Host) -> None:
    """What was recorded just before a normal exit is published."""
    for code in (
        "spend(3)",
        "spend(3); sys.exit(1)",
        "spend(3); raise SystemExit",
        "threading.Thread(target=lambda: spend(3)).start()",
    ):
        before = host.counters("tok").get(BACKEND, 0)
        host.python(HEAD + code)
        assert host.counters("tok")[BACKEND] == before + 3, code


def test_hanging_store_delays_an_exit_half_a_second(host: Host) -> None:
    """A store that hangs delays an exit by no more than half a second."""
    printed = _run(
        host,
        """
        import atexit
        spend(1)
        metrics.flush()
        def report(began=[]):
            if not began: began.append(time.monotonic())
            else: print(time.monotonic() - began[0], flush=True)
        publisher = metrics._core.publisher
        atexit._clear()
        atexit.register(report)
        atexit.register(publisher.finish)
        atexit.register(report)
        publisher._writer.write = lambda data: time.sleep(30)
        spend(1)
    """,
    )
    assert float(printed) < 0.6


def test_a_process_that_uses_nothing_writes_nothing(host: Host) -> None:
    _run(host, "metrics.get_remaining_budget('backend')")
    assert not host.state.exists()


def test_killed_process_leaves_one_failed_gate(host: Host) -> None:
    """The stage of a killed process is one failed gate."""
    process = _start(
        host,
        """
        with WorkflowTracer("package_release") as workflow:
            with workflow.stage_context("version_bump", "backend"):
                spend(5)
                print("ready", flush=True)
                time.sleep(60)
    """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: host.store.merge().totals.open_stages, "the stage in progress to be published")
    process.kill()
    process.communicate()
    began = time.monotonic()
    wait_until(lambda: host.store.fold(), "the dead process to be folded")
    assert time.monotonic() - began < 5
    host.store.fold()
    assert host.counters("qg") == {("package_release", "version_bump", "fail"): 1}
