"""What the sandbox leaves: whole images or none, and after `down` nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.engine import kill_engine
from tests.support.box import Box, free_port, make_box, until

pytestmark = pytest.mark.host


def machine(tag: str) -> dict[str, object]:
    """Everything of this machine that a sandbox touches, as it is now."""

    def shown(*command: str) -> list[str]:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split("[")[0].rstrip() for line in lines if not line.startswith("#")]

    return {
        "firewall": shown("iptables-save"),
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii"),
        "mounts": sorted(_mounts()),
        "groups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/*sandbox*")),
        "processes": sorted(_ours(tag)),
        "strays": [path for path in ("/etc/docker", "/run/docker", "/run/containerd") if Path(path).exists()],
        "run": sorted(str(path) for path in Path("/run").glob("hypertool-sandbox*")),
        "memory": sorted(str(path) for path in Path("/dev/shm").glob("hypertool-sandbox*")),
    }


def _mounts() -> Iterator[str]:
    """Where something is mounted; other tests mount small disks in their own folders meanwhile."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if "/pytest-of-" not in line.split()[4]:
            yield line.split()[4]


def _ours(tag: str) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if tag in command and "pytest" not in command:
                found.append(command)
    return found


def test_down_takes_every_trace_away_and_twice_is_fine(alone: Box) -> None:
    tag = alone.directory.name
    before = machine(tag)
    alone.run("up", "brief", "--publish", f"{free_port()}:80")
    during = machine(tag)
    assert all(during[key] != before[key] for key in ("firewall", "links", "processes", "run")), during
    alone.run("down", "--all")
    assert machine(tag) == before
    alone.run("down", "--all")
    assert machine(tag) == before


def test_only_down_of_the_last_host_stops_our_engine(alone: Box) -> None:
    """`down` of the last host stops our engine, and no earlier one does."""
    alone.run("up", "one")
    alone.run("up", "two")
    alone.run("down", "one")
    assert alone.run("list").stdout.split() == ["two"]
    refused = alone.run("engine", "down", check=False)
    assert refused.returncode == 1
    assert "hosts still run" in refused.stderr
    alone.run("down", "two")
    assert not any("dockerd" in command for command in _ours(alone.directory.name))


def test_killed_engine_leaves_nothing(alone: Box) -> None:
    """An engine that was killed leaves nothing either."""
    tag = alone.directory.name
    before = machine(tag)
    alone.run("up", "orphan")
    kill_engine(alone)
    alone.run("down", "--all")
    assert machine(tag) == before


def test_machines_engine_and_foreign_things_stay(box: Box, host: str, scratch: Path) -> None:
    """The engine of the machine, and whatever is not ours, stay."""
    address = box.run("engine", "command").stdout.split()[-1]
    guest = make_box(scratch / "guest", DOCKER_HOST=address)
    guest.run("up", host)
    assert guest.run("list").stdout.split() == [host]
    guest.run("down", "--all")
    assert box.run("list").stdout.split().count(host) == 1
    assert box.inside(host, "systemctl", "is-system-running").strip() == "running"


def test_interrupted_build_leaves_nothing(scratch: Path) -> None:
    """An interrupted build leaves nothing half done, and the next one completes."""
    cache = scratch / "cache"
    fresh = make_box(scratch / "fresh", HYPERTOOL_CACHE_DIR=str(cache), HYPERTOOL_SANDBOX_ENGINE="own")
    images = cache / "sandbox"
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            build = fresh.start("image", "trixie")
            until("the build to write", 60, lambda: _is_unpacking(images))
            build.send_signal(number)
            build.communicate(timeout=60)
            assert not list(images.glob("*.tar")), "an interrupted build may not look finished"
            if number is signal.SIGTERM:
                assert not list(images.glob("build-*.json"))
                assert not list(images.glob("*.partial"))
        record = images / "build-trixie.json"
        abandoned = record.read_text(encoding="utf-8")
        done = fresh.run("image", "trixie")
        assert "was interrupted; starting over" in done.stderr
        assert [path.name.startswith("hypertool-sandbox-trixie") for path in images.glob("*.tar")] == [True]
        assert not record.exists()
        assert not Path(abandoned.split('"work": "')[1].split('"')[0]).exists()
        fresh.run("up", "proof", "--release", "trixie")
    finally:
        fresh.run("down", "--all", "--purge-cache")
    assert not images.exists()
    assert not fresh.directory.exists()


def _is_unpacking(images: Path) -> bool | None:
    for record in images.glob("build-*.json"):
        text = record.read_text(encoding="utf-8")
        work = Path(text.split('"work": "')[1].split('"')[0]) if '"work"' in text else None
        if work and list(work.glob("mmdebstrap*/usr/bin/apt*")):
            return True
    return None
