"""Many processes, killed ones among them, and an exporter that crashes: the endpoint shows the exact sum."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error

import pytest

from tests.support.exporter_process import Exporter, decreased, running
from tests.support.hypertool_host import Host, wait_until

TOKENS = "hypertool_persona_tokens_used_total"
GATES = "hypertool_workflow_quality_gate_total"

# 10 increments, the point up to which everything is flushed, and then perhaps a death in the middle of more.
AGENT = """
import os, signal, sys
from hypertool import get_persona_metrics
metrics = get_persona_metrics()
for _ in range(10):
    metrics.record_token_usage("backend", "default", "simulated", 3)
metrics.record_workflow_stage("package_release", "version_bump", "backend", 0.25, True)
assert metrics.flush()
if sys.argv[1] == "die":
    metrics.recorder.on_dirty = None  # what comes now is after the last snapshot
    metrics.record_token_usage("backend", "default", "simulated", 1_000_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _run_all(host: Host, count: int, at_once: int) -> None:
    program = host.home / "agent.py"
    program.write_text(AGENT)
    checkouts = [host.work / name for name in ("checkout-a", "checkout-b")]
    for checkout in checkouts:
        (checkout / ".git").mkdir(parents=True)
    running_now: list[tuple[bool, subprocess.Popen[bytes]]] = []
    for number in range(count):
        dies = number % 3 == 0
        running_now.append(
            (
                dies,
                subprocess.Popen(
                    [sys.executable, str(program), "die" if dies else "live"],
                    env=host.environment(),
                    cwd=checkouts[number % 2],
                    stderr=subprocess.DEVNULL,
                ),
            )
        )
        if len(running_now) >= at_once:
            _wait(running_now)
    _wait(running_now)


def _wait(processes: list[tuple[bool, subprocess.Popen[bytes]]]) -> None:
    for dies, process in processes:
        assert process.wait(60) == (-9 if dies else 0)
    processes.clear()


def test_two_hundred_processes_add_up_exactly(host: Host) -> None:
    """200 processes of two checkouts, a third of them killed, show the exact sum of what was published."""
    seen: list[float] = []
    stop = threading.Event()
    with running(host) as exporter:

        def watch() -> None:
            while not stop.is_set():
                seen.append(exporter.sum(TOKENS))
                stop.wait(0.5)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            _run_all(host, 200, at_once=40)
        finally:
            stop.set()
            watcher.join()
        assert exporter.sum(TOKENS) == 200 * 10 * 3
        assert exporter.sum(GATES) == 200
        wait_until(lambda: exporter.scrape()["hypertool_store_writers"] == 0, "all to be folded", 20)
        samples = exporter.scrape()
        assert samples["hypertool_store_folded_processes_total"] == 200
        assert samples["hypertool_store_unreadable_files"] == 0
        assert exporter.sum(TOKENS) == 6000
        assert exporter.sum("hypertool_workflow_stage_duration_seconds_sum") == 50
    assert seen == sorted(seen), "a counter decreased between two scrapes"
    assert list((host.state / "live").iterdir()) == []


def test_killed_exporter_loses_and_decreases_nothing(host: Host) -> None:
    """An exporter that is killed again and again loses nothing, and no counter decreases."""
    exporter = Exporter(host)
    exporter.start()
    before = exporter.scrape()
    agents = threading.Thread(target=_run_all, args=(host, 40, 8))
    agents.start()
    try:
        kills = 0
        while agents.is_alive() or kills < 3:
            exporter.kill()
            kills += 1
            exporter.start()
            after = exporter.scrape()
            assert decreased(before, after) == []
            before = after
        agents.join()
        assert exporter.sum(TOKENS) == 40 * 30
        wait_until(lambda: exporter.scrape()["hypertool_store_writers"] == 0, "all to be folded", 20)
        assert exporter.sum(TOKENS) == 40 * 30
    finally:
        agents.join()
        exporter.kill()


def test_second_exporter_names_the_ports_holder(host: Host) -> None:
    """The second exporter on a port names the process that holds it."""
    with running(host) as exporter:
        assert exporter.process is not None
        second = host.hypertool("exporter", HYPERTOOL_LISTEN=f"127.0.0.1:{exporter.port}")
        assert second.returncode == 1
        assert f"127.0.0.1:{exporter.port}" in second.stderr
        assert f"pid {exporter.process.pid} " in second.stderr
        assert "Traceback" not in second.stderr
        assert exporter.answers()


@pytest.mark.predecessor("D3")
def test_process_may_serve_the_host_itself(host: Host) -> None:
    """A process may serve the host itself, and its children do not hold the port."""
    exporter = Exporter(host)  # a port, not started
    done = host.python(
        """
        import os, signal, socket, sys, urllib.request, warnings
        from hypertool import get_persona_metrics, serve_metrics
        warnings.filterwarnings("ignore", "This process .* is multi-threaded")
        get_persona_metrics().record_token_usage("backend", "default", "simulated", 42)
        get_persona_metrics().flush()
        address = serve_metrics()
        assert serve_metrics() == address
        page = urllib.request.urlopen(f"http://{address}/metrics", timeout=60).read().decode()
        assert '{chatmode="default",model="simulated",persona="backend-engineer"} 42.0' in page
        child = os.fork()
        if child == 0:
            signal.pause()
        import hypertool.service.serve_metrics
        hypertool.service.serve_metrics._served.close()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections are no listener
            try:
                probe.bind((address.host, address.port))
            finally:
                os.kill(child, signal.SIGKILL)
    """,
        HYPERTOOL_LISTEN=f"127.0.0.1:{exporter.port}",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_taken_port_is_fine_and_reported_once(host: Host) -> None:
    """A port in use is fine for a process, and is reported once."""
    with running(host) as exporter:
        done = host.python(
            """
            from hypertool import serve_metrics
            print(serve_metrics(), serve_metrics())
        """,
            HYPERTOOL_LISTEN=f"127.0.0.1:{exporter.port}",
        )
        assert done.stdout == "None None\n"
        assert done.stderr.count("not serving metrics") == 1


def test_unreadable_store_fails_the_scrape(host: Host) -> None:
    """A store that cannot be read fails the scrape and shows no zeros."""
    host.python('from hypertool import get_persona_metrics as g; g().record_token_usage("obs", "default", "m", 5)')
    with running(host) as exporter:
        wait_until(lambda: exporter.scrape()["hypertool_store_writers"] == 0, "folding", 20)
        assert exporter.sum(TOKENS) == 5
        archive = host.state / "archive.json"
        archive.rename(host.state / "aside")
        archive.mkdir()
        with pytest.raises(urllib.error.HTTPError) as refused:
            exporter.text()
        assert refused.value.code == 503
        assert b"state directory" in refused.value.read()
        archive.rmdir()
        (host.state / "aside").rename(archive)
        assert exporter.sum(TOKENS) == 5
