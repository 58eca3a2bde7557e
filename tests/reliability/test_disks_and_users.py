"""Full and unwritable disks, several Unix users, absent libraries: user code notices nothing, sums stay exact."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.domain import personas as catalogue
from tests.support.exporter_process import running
from tests.support.hypertool_host import Host, wait_until
from tests.support.small_disk import small_disk_at

BACKEND = ("backend-engineer", "default", "simulated")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a file system or become another user")
HEAD = """
import os, sys, threading, time
from hypertool import PersonaMetricsCollector, WorkflowTracer, get_persona_metrics
metrics = get_persona_metrics()
def spend(tokens):
    metrics.record_token_usage("backend", "default", "simulated", tokens)
def wait(what, condition):
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, f"waited 15 s for {what}, in vain"
        time.sleep(0.02)
"""


@pytest.fixture
def small_disk(host: Host) -> Iterator[Path]:
    host.state.mkdir()
    with small_disk_at(host.state, "0770"):
        yield host.state


def _python(host: Host, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    done = host.python(HEAD + textwrap.dedent(code), seconds=60, **more)
    assert done.returncode == 0, done.stderr
    return done


@AS_ROOT
def test_full_disk_never_reaches_user_code(host: Host, small_disk: Path) -> None:
    """A full disk never reaches user code, and the numbers arrive once there is space."""
    done = _python(
        host,
        f"""
        spend(1)
        assert metrics.flush()
        filler = open({str(small_disk / "filler")!r}, "wb", buffering=0)
        try:
            while filler.write(b"x" * 4096): pass
        except OSError:
            pass
        for _ in range(20):
            with WorkflowTracer("package_release") as workflow:
                with workflow.stage_context("version_bump", "backend"):
                    spend(10)
            metrics.record_token_usage("backend", f"free text {{_}}", "simulated", 1)
        metrics.switch_persona("none", "testing", "default")
        assert not metrics.flush()
        filler.close()
        os.remove(filler.name)
        wait("everything to be published", lambda: not metrics.recorder.dirty)
    """,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert "not published for now" in lines[0]
    assert "No space left on device" in lines[0]
    assert "free some space" in lines[0]
    assert "published again" in lines[1]
    counted = host.counters("tok")
    assert counted[BACKEND] == 201
    assert sum(counted.values()) == 221
    assert host.counters("qg") == {("package_release", "version_bump", "pass"): 20}


@AS_ROOT
def test_folding_on_a_full_disk_loses_nothing(host: Host, small_disk: Path) -> None:
    """Folding on a full disk loses nothing and continues later."""
    for _ in range(3):
        _python(host, "spend(5)")
    (small_disk / "filler").write_bytes(b"")
    with open(small_disk / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
    with pytest.raises(OSError, match="No space"):
        host.store.fold()
    assert host.counters("tok") == {BACKEND: 15}
    assert not list(small_disk.glob("*.tmp")), "what could not be written must not keep the space"
    (small_disk / "filler").unlink()
    assert host.store.fold() == 3
    assert host.counters("tok") == {BACKEND: 15}


def test_unwritable_directory_never_reaches_user_code(host: Host) -> None:
    """A state directory that cannot be written never reaches user code."""
    host.state.write_text("a file where the directory should be")
    done = _python(
        host,
        f"""
        spend(1)
        with WorkflowTracer("w") as workflow:
            with workflow.stage_context("s", "backend"):
                spend(2)
        metrics.reset_budget("backend")
        assert metrics.get_remaining_budget("backend") == 2000
        assert not metrics.flush()
        spend(4)
        os.remove({str(host.state)!r})
        wait("the store to take what is there", metrics.flush)
    """,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert f"the state directory {host.state} cannot be used" in lines[0]
    assert "HYPERTOOL_STATE_DIR" in lines[0]
    assert sum(host.counters("tok").values()) == 7


@AS_ROOT
def test_several_users_of_one_group_share_the_store(host: Host) -> None:
    group, users = 51000, (51001, 51002, 51003)
    for place in (host.state.parent, *host.state.parent.parents):
        if place.stat().st_uid == 0 and str(place).startswith("/tmp/"):
            place.chmod(place.stat().st_mode | 0o711)
    host.state.mkdir()
    os.chown(host.state, 0, group)
    host.state.chmod(0o2770)
    for place in (host.home, host.work):
        place.chmod(0o777)
    # Imported first, forked then: other users need not be able to read this Python.
    _python(
        host,
        f"""
        from hypertool.store.store import Store
        for index, user in enumerate({users * 2!r}):
            child = os.fork()
            if child == 0:
                os.umask(0o077 if index % 2 else 0)
                os.setgroups([{group}])
                os.setgid(user)
                os.setuid(user)
                spend(10 ** index)
                metrics.record_token_usage("obs", f"free-{{index}}", "m", 1)
                sys.exit(0 if metrics.flush() else 1)
            assert os.waitpid(child, 0)[1] == 0
            if index == 2:
                assert Store.locate().fold() == 3
    """,
    )
    files = [file for file in host.state.rglob("*") if file.is_file()]
    modes = {(file.parent.name == "live", oct(stat.S_IMODE(file.stat().st_mode)), file.stat().st_gid) for file in files}
    assert modes == {(True, "0o640", group), (False, "0o660", group)}
    assert stat.S_IMODE((host.state / "live").stat().st_mode) == 0o2770
    with running(host) as exporter:
        wait_until(lambda: exporter.scrape()["hypertool_store_writers"] == 0, "all users' processes to be folded", 20)
        series = 'hypertool_persona_tokens_used_total{chatmode="default",model="simulated",persona="backend-engineer"}'
        assert exporter.scrape()[series] == 111_111
        assert exporter.scrape()["hypertool_store_unreadable_files"] == 0


@AS_ROOT
def test_user_outside_the_group_has_an_own_store(host: Host, tmp_path: Path) -> None:
    """A user outside the group gets one line about it and a store of their own."""
    code = textwrap.dedent("""
        import os, pathlib, sys
        from hypertool.store import directory
        directory.HOST_DIRECTORY = pathlib.Path(sys.argv[1])
        # A checkout may be unreadable for others; an installed package never is.
        from hypertool.domain import personas as catalogue
        catalogue.DEFAULTS_PARSED = pathlib.Path(sys.argv[2])
        catalogue.load_catalogue(strict=False)  # it imports what may be where nobody else can read
        sys.argv[1:] = []
        from hypertool import get_persona_metrics
        import hypertool.metrics.collector, hypertool.workflow.tracer, logging
        os.setgroups([]); os.setgid(51009); os.setuid(51009)
        get_persona_metrics().record_token_usage("backend", "default", "simulated", 5)
        print(get_persona_metrics()._core.store.path)
    """)
    closed = tmp_path / "var-lib-hypertool"
    closed.mkdir()
    closed.chmod(0o2770)
    personas = tmp_path / "personas.json"
    shutil.copy(catalogue.DEFAULTS_PARSED, personas)
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, 51009, 51009)
    for place in (tmp_path, *tmp_path.parents):
        if str(place).startswith("/tmp/"):
            place.chmod(place.stat().st_mode | 0o711)
    done = host.start(
        [sys.executable, "-c", code, str(closed), str(personas)],
        30,
        {"HYPERTOOL_STATE_DIR": "", "XDG_STATE_HOME": str(own), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stdout) == (0, f"{own}/hypertool\n"), done.stderr
    assert done.stderr.count("usermod -aG hypertool") == 1
    assert len(done.stderr.splitlines()) == 1
    assert list((own / "hypertool" / "live").iterdir())


def test_applications_registry_is_untouched(host: Host, tmp_path: Path) -> None:
    """The application's own registry and multiprocess mode are untouched."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    code = """
        import prometheus_client
        names = sorted(m.name for m in prometheus_client.REGISTRY.collect())
        own = prometheus_client.Counter("application_jobs", "The application's own", ["queue"])
        own.labels("a").inc(3)
        spend(7)
        with metrics.track_stage("package_release", "version_bump", "backend"):
            pass
        metrics.flush()
        from hypertool import serve_metrics
        import urllib.request
        page = urllib.request.urlopen(f"http://{serve_metrics()}/metrics").read().decode()
        assert "application_jobs" not in page and "hypertool_persona_tokens_used_total" in page
        mine = {m.name for m in prometheus_client.REGISTRY.collect()} - set(names)
        assert mine == {"application_jobs"}, mine
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            from prometheus_client import CollectorRegistry, multiprocess, generate_latest
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
            shown = generate_latest(registry).decode()
            assert 'application_jobs_total{queue="a"} 3.0' in shown and "hypertool" not in shown
    """
    _python(host, code, HYPERTOOL_LISTEN="127.0.0.1:0")
    _python(host, code, HYPERTOOL_LISTEN="127.0.0.1:0", PROMETHEUS_MULTIPROC_DIR=str(theirs))
    assert host.counters("tok") == {BACKEND: 14}
    assert not [file for file in theirs.iterdir() if b"hypertool" in file.read_bytes()]


WITHOUT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{library}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.mark.predecessor("D5")
@pytest.mark.parametrize("library", ["prometheus_client", "opentelemetry"])
def test_missing_library_is_reported_at_most_once(host: Host, library: str) -> None:
    """Everything works without an optional library, which is reported at most once."""
    done = host.python(
        WITHOUT.format(library=library)
        + HEAD
        + textwrap.dedent(f"""
        from hypertool import serve_metrics
        for _ in range(3):
            spend(5)
            with WorkflowTracer("package_release") as workflow:
                with workflow.stage_context("version_bump", "backend"):
                    pass
            with metrics.track_stage("package_release", "version_bump", "backend"):
                pass
        print(metrics.get_remaining_budget("backend"))
        if {library!r} == "prometheus_client":
            PersonaMetricsCollector(object()).record_token_usage("backend", "default", "simulated", 5)
        serve_metrics()
        serve_metrics()
    """),
        HYPERTOOL_LISTEN="127.0.0.1:0",
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if library == "opentelemetry" else {}),
    )
    assert (done.returncode, done.stdout) == (0, "1985\n"), done.stderr
    assert host.counters("tok") == {BACKEND: 15}
    assert host.counters("qg") == {("package_release", "version_bump", "pass"): 6}
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if library in line or "OpenTelemetry" in line]
    assert 1 <= len(said) <= (2 if library == "prometheus_client" else 1), done.stderr


def test_disabled_does_nothing_and_raises_nothing(host: Host) -> None:
    """Disabled, the package publishes nothing, serves nothing and raises nothing."""
    done = _python(
        host,
        """
        from hypertool import serve_metrics
        spend(999_999)
        metrics.require_budget("backend")
        with WorkflowTracer("w") as workflow:
            with workflow.stage_context("s", "backend"):
                pass
        assert serve_metrics() is None
        assert metrics.flush()
    """,
        HYPERTOOL_DISABLED="1",
    )
    assert done.stderr == ""
    assert not host.state.exists()
