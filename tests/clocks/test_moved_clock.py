"""The real exporter, Prometheus and (with ALLOY_BIN) Alloy on a host whose clock is moved, or which slept."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.clocks.inside import CLOCK_FOLDER, FOLDER, PASSWORD, UNIT
from tests.support.alloy_program import MISSING, alloy_program
from tests.support.debian_binaries import (
    NEWEST_RELEASE,
    OLDEST_RELEASE,
    BinariesUnavailable,
    prometheus_binaries,
    unpacked,
)

ROOT = Path(__file__).resolve().parents[2]
FILTERS = "ansible/filter_plugins/outage_budget.py"
Facts = dict[str, Any]
ROWS = [
    ("back_two_hours", "server", OLDEST_RELEASE),
    ("back_two_hours", "server", NEWEST_RELEASE),
    ("ahead_and_corrected", "server", OLDEST_RELEASE),
    ("nine_hours_of_sleep", "server", OLDEST_RELEASE),
    ("sender_back_two_hours", "agent", OLDEST_RELEASE),
    *([("sender_back_two_hours", "alloy", OLDEST_RELEASE)] if alloy_program() else []),
]
Row = tuple[str, str, str]


def clock_variables(collector: str) -> dict[str, Any]:
    """`host_clock` of a collector's role, but for where things are."""
    role = "alloy" if collector == "alloy" else "prometheus"
    variables = yaml.safe_load((ROOT / f"ansible/roles/{role}/vars/main.yml").read_text(encoding="utf-8"))
    port = {"server": 9090, "agent": 9090, "alloy": 12345}[collector]
    tsdb = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text(encoding="utf-8"))["storage"]["tsdb"]
    window = int(runpy.run_path(str(ROOT / FILTERS))["seconds"](tsdb["out_of_order_time_window"], "window"))
    cure = variables["alloy_clock"]["cure"] if role == "alloy" else variables["prometheus_cures"][collector]
    places = {f"{role}_unit": UNIT[collector], "prometheus_data_folders": {"agent": f"{FOLDER}/agent"}}
    return {
        **variables[f"{role}_clock"],
        "unit": UNIT[collector],
        "url": f"http://127.0.0.1:{port}",
        "password_file": PASSWORD,
        "folder": CLOCK_FOLDER,
        "options": f"--window {window} --alertmanager http://127.0.0.1:9093 --runbook http://r --instance here"
        if collector == "server"
        else "--sends",
        "cure": [Environment(undefined=StrictUndefined).from_string(one).render(places) for one in cure],
    }


def write_units(folder: Path, collector: str) -> None:
    """The units that look after the clock of a collector, as its role writes them."""
    templates = Environment(
        loader=FileSystemLoader(ROOT / "ansible/roles/host/templates"), undefined=StrictUndefined, trim_blocks=True
    )
    clock = clock_variables(collector)
    folder.mkdir()
    for kind in ("timer", "service"):
        text = templates.get_template(f"clock.{kind}.j2").render(host_clock=clock, host_clock_python="/usr/bin/python3")
        (folder / f"{clock['name']}.{kind}").write_text(text, encoding="utf-8")


def boot(row: Row, folder: Path, running: list[subprocess.Popen[str]]) -> Facts:
    """Run a scenario in a user-mode Linux, which has a clock of its own; what it observed."""
    scenario, collector, release = row
    kernel = unpacked(OLDEST_RELEASE, ("user-mode-linux",)) / "usr" / "bin" / "linux.uml"
    # The machine sees this one's files read-only; /proc, /sys and /run are its own.
    start = folder / f"{'-'.join(row)}.sh"
    program = [
        sys.executable,
        str(ROOT / "tests/clocks/inside.py"),
        scenario,
        str(prometheus_binaries(release)),
        str(ROOT),
        str(folder / collector),
        collector,
        str(alloy_program() if collector == "alloy" else "none"),
    ]
    start.write_text(f"#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec {' '.join(program)}\n", encoding="utf-8")
    start.chmod(0o755)
    # Half of the memory is /run, in which Prometheus preallocates chunks of 512 MB when it compacts.
    command = [
        str(kernel), "mem=1600M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={start}", "con=null",
        "con0=fd:0,fd:1", "quiet",
    ]  # fmt: skip
    machine = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PATH": os.defpath, "TMPDIR": str(folder), "HOME": str(folder)},
        start_new_session=True,
    )
    running.append(machine)
    try:
        printed, _ = machine.communicate(timeout=850)
    finally:
        kill(machine)
    facts: Facts = {}
    for line in printed.splitlines():
        if line.startswith("FACT "):
            facts |= json.loads(line.removeprefix("FACT "))
    assert "finished" in facts, printed[-6000:]
    return facts


def kill(machine: subprocess.Popen[str]) -> None:
    """End a machine; each of its processes is one of this host, in the group of the first."""
    with suppress(ProcessLookupError):
        os.killpg(machine.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str, str], Facts]]:
    """What each scenario observed; all of them run at once, because they mostly wait."""
    if os.geteuid() != 0:
        pytest.skip("the machine that is started reads this one's files as root: run as root")
    folder = tmp_path_factory.mktemp("machines")
    for collector in UNIT:
        write_units(folder / collector, collector)
    running: list[subprocess.Popen[str]] = []

    @cache
    def all_of_them() -> dict[Row, Future[Facts]]:
        try:
            for release in (OLDEST_RELEASE, NEWEST_RELEASE):
                prometheus_binaries(release)
            unpacked(OLDEST_RELEASE, ("user-mode-linux",))
        except BinariesUnavailable as error:
            pytest.skip(str(error))
        pool = ThreadPoolExecutor(len(ROWS))
        return {row: pool.submit(boot, row, folder, running) for row in ROWS}

    yield lambda *row: all_of_them()[row].result()
    for machine in running:
        if machine.poll() is None:
            kill(machine)


@pytest.mark.parametrize("release", [OLDEST_RELEASE, NEWEST_RELEASE])
def test_clock_back_two_hours(seen: Callable[[str, str, str], Facts], release: str) -> None:
    """Our numbers stay right at once; Prometheus is stuck and restarted by its timer, and overspending alerts."""
    facts = seen("back_two_hours", "server", release)
    assert facts["seen"] is not None
    assert facts["left"] is not None
    assert facts["restarted"] is not None, facts
    assert facts["overspending fires"] is not None, facts


def test_clock_a_day_ahead_and_set_right(seen: Callable[[str, str, str], Facts]) -> None:
    """The overspent run of the wrong day is not the last word: a healthy run is, and the next overspending alerts."""
    facts = seen("ahead_and_corrected", "server", OLDEST_RELEASE)
    assert facts["overspending fires"] is not None
    assert facts["left"] is not None
    assert facts["restarted"] is not None
    assert facts["quiet"] is not None
    assert facts["overspending fires again"] is not None


def test_clock_back_further_than_samples_are_taken(seen: Callable[[str, str, str], Facts]) -> None:
    """Where the newest samples are so far ahead that a restart cannot help, there is none; log and alert say why."""
    facts = seen("ahead_and_corrected", "server", OLDEST_RELEASE)
    assert facts["no help"] is not None
    assert facts["same process"] is True
    assert "a restart does not help" in facts["told"]["HostClockWrong"]
    assert facts["no longer told"] is not None


def test_nine_hours_of_sleep(seen: Callable[[str, str, str], Facts]) -> None:
    """A stage that was a minute old is not stuck after it, nothing else alarms, and overspending still does."""
    facts = seen("nine_hours_of_sleep", "server", OLDEST_RELEASE)
    assert facts["stage seen"] is not None
    assert facts["stage runs"] is True
    assert facts["firing after waking up"] == []
    assert facts["overspending fires"] is not None
    assert "restarting" not in facts["clock"]


@pytest.mark.parametrize("collector", ["agent", "alloy"])
def test_sender_back_two_hours(seen: Callable[[str, str, str], Facts], collector: str) -> None:
    """A collector that only sends is stuck, too, each time; its timer restarts it, and samples arrive again."""
    if collector == "alloy" and alloy_program() is None:
        pytest.skip(f"{MISSING}; the double has no scrape loop that could be stuck")
    facts = seen("sender_back_two_hours", collector, OLDEST_RELEASE)
    assert facts["first arrives"] is not None, facts
    assert facts["second arrives"] is not None, facts
    assert facts["clock"].count("restarting: the clock was set back") == 2, facts
