"""What our own Docker Engine leaves on the machine, and how to remove all of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import network
from .progress import wait_for
from .state import delete_tree, identity, run_dir, state_dir, stop_process, suffix, unmount_below

# dockerd writes these wherever its data is; they are removed only if they did not exist before.
STRAYS = ("/etc/docker/key.json", "/etc/docker", "/run/docker/plugins", "/run/docker")


def record_path() -> Path:
    """The record of what was started and created."""
    return state_dir() / "engine.json"


def control_group() -> str:
    return f"hypertool-sandbox{suffix()}"


def take_back(record: dict[str, Any]) -> None:
    """Stop the recorded dockerd and remove everything that is left of it."""
    stop_process(record["pid"], record["identity"], "dockerd")
    # A killed dockerd leaves its children and mounts behind.
    _stop_orphans()
    unmount_below(state_dir())
    unmount_below(run_dir())
    if "network" in record:
        network.remove_bridge(record["network"])
    for path in map(Path, STRAYS):
        if str(path) in record.get("strays_before", STRAYS) or not path.exists():
            continue
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink()
    _remove_cgroups()
    delete_tree(run_dir())
    record_path().unlink(missing_ok=True)


def stop_containerd() -> None:
    """Stop the containerd that a crashed dockerd left, because a starting dockerd would wait for it in vain.

    The shims stay: dockerd uses them to find the containers that still run, and ends those.
    """
    for pid, started, command in _orphans():
        if Path(command).name == "containerd":
            stop_process(pid, started, command, seconds=5)
    # A process that has ended but was not reaped yet counts as running for dockerd.
    (run_dir() / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)


def _stop_orphans() -> None:
    for pid, started, command in _orphans():
        stop_process(pid, started, command, seconds=5)


def _orphans() -> Iterator[tuple[int, str, str]]:
    """containerd and the shims of a killed dockerd; the path of their socket shows that they are ours."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        pid = int(process.name)
        started = identity(pid)
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if started and f"{run_dir()}/exec/" in command:
            yield pid, started, command.split("\0")[0]


def _remove_cgroups() -> None:
    """End what still runs in our control groups (hosts without an engine), and remove the groups."""
    name = control_group()
    tops = [top for top in [Path("/sys/fs/cgroup") / name, *Path("/sys/fs/cgroup").glob(f"*/{name}")] if top.is_dir()]
    groups = sorted((path for top in tops for path in [top, *top.rglob("*")] if path.is_dir()), reverse=True)
    for group in groups:
        for pid in map(int, (group / "cgroup.procs").read_text(encoding="ascii").split()):
            os.kill(pid, signal.SIGKILL)

    def removed() -> bool | None:
        for group in groups:
            # Control groups are removed like empty directories; a dying process makes them busy.
            with suppress(FileNotFoundError, OSError):
                group.rmdir()
        return True if not any(top.exists() for top in tops) else None

    wait_for(f"the control groups {name} to become empty", 10, removed)
