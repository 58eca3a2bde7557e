"""A stopped unit has no process left, whatever its own stop, or an earlier one, left running."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import Fleet

pytestmark = pytest.mark.host

NAME, UNIT, USER = "bookworm", "leftover.service", "leftover"
FILE = f"/etc/systemd/system/{UNIT}"
# Like Debian's prometheus.service: a process that ignores SIGTERM for too long survives its unit, which has failed.
# It has a user namespace, like our drop-ins: in a container, userdel sees a service's processes only with one.
STUBBORN = f"""\
[Service]
Type=notify
NotifyAccess=all
User={USER}
PrivateUsers=yes
ExecStart=/bin/sh -c 'trap "" TERM; systemd-notify --ready; exec sleep infinity'
SendSIGKILL=no
TimeoutStopSec=1
"""
# Its main process fails, and systemd leaves the others alone; nothing has told them to end.
ABANDONED = f"""\
[Service]
User={USER}
PrivateUsers=yes
ExecStart=/bin/sh -c 'sleep infinity & exit 1'
KillMode=process
"""


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    found = fleet.hosts[NAME]
    found.check_output(f"useradd --system {USER}")
    yield found
    found.run(f"systemctl kill --signal=SIGKILL {UNIT}; systemctl reset-failed {UNIT}")
    found.check_output(f"rm -f {FILE}; systemctl daemon-reload; userdel --force {USER} || ! id {USER}")


def start(host: Host, unit: str) -> None:
    host.check_output(f"printf %%s %s > {FILE}; systemctl daemon-reload; systemctl start {UNIT}", unit)


def properties(host: Host) -> dict[str, str]:
    shown = host.check_output(f"systemctl show {UNIT} -p LoadState -p ActiveState")
    return dict(line.split("=") for line in shown.splitlines())


def processes(host: Host) -> str:
    return str(host.run(f"pgrep --uid {USER}").stdout)


@pytest.fixture
def stopped(fleet: Fleet) -> Callable[..., dict[str, Any]]:
    """`stopped(check=False, timeout=...)`: what `managed_unit` answers when the unit is to be stopped."""

    def ask(check: bool = False, timeout: int = 2) -> dict[str, Any]:
        given = json.dumps({"name": UNIT, "state": "stopped", "timeout": timeout})
        command = [
            str(Path(sys.executable).with_name("ansible")),
            NAME,
            "-i",
            str(fleet.inventory),
            "-m",
            "managed_unit",
            "-a",
            given,
            *(["--check"] if check else []),
        ]
        done = subprocess.run(
            command,
            cwd=fleet.tree / "ansible",
            env=fleet.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
        return {key: answer[key] for key in ("changed", "actions")}

    return ask


#: What was done before, the unit's state after it, and what is left to do.
CASES = {
    "it runs": ("true", "loaded", "active", "stop"),
    "its stop gave up": (f"systemctl stop {UNIT}", "loaded", "failed", "kill"),
    "and the failure was forgotten": (
        f"systemctl stop {UNIT}; systemctl reset-failed {UNIT}", "loaded", "inactive", "kill"),
    "and its package was removed": (
        f"systemctl stop {UNIT}; rm {FILE}; systemctl daemon-reload", "not-found", "failed", "kill"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "load", "active", "action"), CASES.values(), ids=CASES.keys())
def test_stopped_unit_leaves_no_process_of_its_user(
    host: Host, stopped: Callable[..., dict[str, Any]], before: str, load: str, active: str, action: str
) -> None:
    """A stopped unit leaves no process that keeps its user in use."""
    start(host, STUBBORN)
    host.check_output(before)
    found, running = {"LoadState": load, "ActiveState": active}, processes(host)
    assert properties(host) == found
    assert running
    assert "used by process" in host.run(f"userdel {USER}").stderr

    expected = {"changed": True, "actions": [action]}
    assert stopped(check=True) == expected
    assert (properties(host), processes(host)) == (found, running), "check mode changes nothing"
    assert stopped() == expected
    assert (properties(host)["ActiveState"], processes(host)) == ("inactive", "")
    assert stopped() == {"changed": False, "actions": []}
    host.check_output(f"userdel {USER}")


def test_unit_without_its_file_is_stopped_too(host: Host, stopped: Callable[..., dict[str, Any]]) -> None:
    """A unit whose file is gone is stopped all the same."""
    start(host, f"[Service]\nUser={USER}\nExecStart=/bin/sleep infinity\n")
    host.check_output(f"rm {FILE}; systemctl daemon-reload")
    assert properties(host) == {"LoadState": "not-found", "ActiveState": "active"}
    assert stopped() == {"changed": True, "actions": ["stop"]}
    assert processes(host) == ""


def test_leftover_processes_are_told_to_end_and_left(host: Host, stopped: Callable[..., dict[str, Any]]) -> None:
    """Processes that nothing told to end are told to, and are not waited for in vain."""
    start(host, ABANDONED)
    until("the main process to fail", 60, lambda: properties(host)["ActiveState"] == "failed" or None)
    assert processes(host)
    # Longer than the command is given.
    assert stopped(timeout=600) == {"changed": True, "actions": ["kill"]}
    assert processes(host) == ""


def test_failure_that_runs_nothing_is_reset(host: Host, stopped: Callable[..., dict[str, Any]]) -> None:
    """A failed unit that left nothing running is reset, and the result says so."""
    start(host, "[Service]\nExecStart=/bin/false\n")
    until("the unit to fail", 60, lambda: properties(host)["ActiveState"] == "failed" or None)
    expected = {"changed": True, "actions": ["reset-failed"]}
    assert stopped(check=True) == expected
    assert properties(host)["ActiveState"] == "failed"
    assert stopped() == expected
    assert properties(host)["ActiveState"] == "inactive"
    assert stopped() == {"changed": False, "actions": []}
