"""A host with other software: installing works, and uninstalling leaves what was there, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from tests.foreign_hosts.conftest import Looks
from tests.foreign_hosts.situations import SITUATIONS, Situation
from tests.support.fleet import Play, differences

pytestmark = pytest.mark.host

Before = tuple[dict[str, dict[str, Any]], Looks]
#: What running services write by themselves, before us, meanwhile and afterwards.
ALIVE = (
    "/var/lib/prometheus/metrics2", "/srv/disk/prometheus/metrics2", "/var/lib/prometheus/node-exporter",
    "/home/ops/.ansible",
)  # fmt: skip


def theirs_left_out(lines: list[str]) -> list[str]:
    return [line for line in lines if not any(f" files: {path}" in line and "/keep" not in line for path in ALIVE)]


def test_check_mode_of_a_foreign_host_succeeds(rehearsed: Play, name: str) -> None:
    """Check mode works on a host with other software, and says what it would do."""
    assert rehearsed.recap[name]["failed"] == 0, rehearsed.output[-6000:]


def test_installation_on_a_foreign_host_succeeds(installed: Play, name: str) -> None:
    """One play installs everything, whatever else is on the host."""
    assert installed.recap[name]["failed"] == 0, installed.output[-6000:]


def test_foreign_things_work_meanwhile(meanwhile: dict[str, list[str]], situation: Situation) -> None:
    """While we are installed, what the host's people had still works."""
    assert meanwhile[situation.name] == []


def test_uninstalling_a_foreign_host_succeeds(uninstalled: Play, name: str) -> None:
    """One play takes everything back."""
    assert uninstalled.recap[name]["failed"] == 0, uninstalled.output[-6000:]


def test_foreign_things_are_as_before(before: Before, after: Before, situation: Situation) -> None:
    """Files, data, packages, units and what services answer are what they were before the installation."""
    assert after[1][situation.name] == before[1][situation.name]


def test_nothing_else_is_left_or_missing(before: Before, after: Before, name: str) -> None:
    """Files, packages with dpkg's states, units, services, accounts and ports of the host are those of before."""
    left = theirs_left_out(differences(before[0][name], after[0][name]))
    assert left == [], "\n".join(left)


def test_uninstalling_says_what_runs_again(uninstalled: Play) -> None:
    """The play names the services that it gave back, after it saw them run."""
    said = " ".join(uninstalled.output.split())
    missing = [word for situation in SITUATIONS for word in situation.said if word not in said]
    assert missing == []
