"""The same parts natively and in containers, on one machine in one run: start-up, memory, processor time at rest.

Native is a systemd host that site.yml installed; Compose is the profile `minimal` with images made here. Both run
Debian's Prometheus and Alertmanager with the same files, the exporter and the alert log; what the Docker Engine needs
besides is a row of its own. No limit is asserted: the table says what is true where it was made.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.support.box import Box, make_box, obstacle, until
from tests.support.compose import Stack, compose_environment
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.benchmark, pytest.mark.host]

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("stack_probe.py")
DIRECTORY = Path("/var/lib/hypertool-sandbox-side-by-side")
REST_SECONDS = 60.0
ADDRESSES = ("http://127.0.0.1:9464/metrics", "http://127.0.0.1:9090/-/ready", "http://127.0.0.1:9093/-/ready")
UNITS = ("hypertool-exporter", "hypertool-alert-log", "prometheus", "prometheus-alertmanager")
SERVICES = ("exporter", "alert-log", "prometheus", "alertmanager")


@dataclass(frozen=True)
class Row:
    """Seconds until everything answers; MiB; milliseconds of processor time a second, at rest."""

    name: str
    start: float | None
    anonymous: float
    resident: float
    processor: float

    def __str__(self) -> str:
        start = "" if self.start is None else f"{self.start:.1f} s"
        return (
            f"| {self.name} | {start} | {self.anonymous:.0f} MiB | {self.resident:.0f} MiB "
            f"| {self.processor:.1f} ms/s |"
        )


def at_rest(name: str, start: float | None, usage: Callable[[], dict[str, int]]) -> Row:
    before, began = usage(), time.monotonic()
    until("the time of rest", REST_SECONDS + 5, lambda: time.monotonic() > began + REST_SECONDS or None)
    after, elapsed = usage(), time.monotonic() - began
    processor = (after["ticks"] - before["ticks"]) / os.sysconf("SC_CLK_TCK") / elapsed * 1000
    return Row(name, start, after["anonymous"] / 1024, after["resident"] / 1024, processor)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    if obstacle():
        pytest.skip(obstacle())
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(mode=0o700)
    made = make_box(DIRECTORY)
    try:
        yield made
    finally:
        made.run("down", "--all")
        shutil.rmtree(DIRECTORY, ignore_errors=True)


def native(box: Box) -> list[Row]:
    fleet = Fleet(box, DIRECTORY, ("trixie",), {"hypertool_collector": "prometheus"})
    fleet.up()
    fleet.play("site.yml").succeeded()
    host: Host = fleet.hosts["trixie"]
    host.check_output("hypertool baseline")
    units, probe = " ".join(UNITS), f"python3 -c {shlex.quote(PROBE.read_text(encoding='utf-8'))}"
    host.run(f"systemctl stop {units}")
    answer = host.run(f"systemctl start --no-block {units} && {probe} ready {' '.join(ADDRESSES)}")
    assert answer.rc == 0, answer.stderr
    pids = host.run(f"systemctl show -P MainPID {units}").stdout.split()
    row = at_rest(
        "native: 4 services of systemd",
        float(answer.stdout),
        lambda: json.loads(host.run(f"{probe} usage {' '.join(pids)}").stdout),
    )
    box.run("down", "trixie")
    return [row]


def composed(box: Box) -> list[Row]:
    environment = compose_environment(box)
    tree = DIRECTORY / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", "compose.override.yaml"))
    script = [str(tree / "scripts" / "build-local-images.sh")]
    subprocess.run(script, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=900)
    stack = Stack(tree / "compose", environment, "minimal", project="hypertool-side-by-side")
    try:
        assert stack.up("--wait").returncode == 0, stack.logs()
        stack.docker("exec", stack.container("exporter"), "hypertool", "baseline")
        stack.compose("stop")
        command = [sys.executable, str(PROBE), "ready", *ADDRESSES]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
            started = stack.up()
            assert started.returncode == 0, started.stderr
            answer = probe.communicate(timeout=150)[0]
        # The demo runs workflows by itself, which the native installation does not.
        stack.compose("stop", "demo")
        pids = [str(stack.inspect(name)["State"]["Pid"]) for name in SERVICES]
        engine = [*_of_name("dockerd"), *_of_name("containerd"), *map(_parent, pids)]
        rows = [at_rest("Compose: the same 4 in containers", float(answer), lambda: usage(pids))]
        rows.append(at_rest("Compose: dockerd, containerd and their shims", None, lambda: usage(engine)))
        return rows
    finally:
        stack.down()
        subprocess.run([*script, "--remove"], env=environment, check=False, stdout=subprocess.DEVNULL)


def _of_name(name: str) -> list[str]:
    return subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False).stdout.split()


def _parent(pid: str) -> str:
    """A container's shim; those of health checks come and go."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]


def usage(pids: list[str]) -> dict[str, int]:
    shown = subprocess.run([sys.executable, str(PROBE), "usage", *pids], capture_output=True, text=True, check=True)
    figures: dict[str, int] = json.loads(shown.stdout)
    return figures


def test_native_and_compose_side_by_side(box: Box) -> None:
    rows = native(box)
    print("\n", *rows, sep="\n")
    rows += composed(box)
    head = ["| | ready after | anonymous memory | resident memory | processor at rest |", "|---|---:|---:|---:|---:|"]
    print("\n\n" + "\n".join([*head, *map(str, rows)]))
    assert all(row.anonymous > 0 for row in rows)
