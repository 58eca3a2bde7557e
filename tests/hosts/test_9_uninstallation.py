"""Uninstalling leaves nothing that was not there before, and keeps data unless told otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hosts.conftest import AGENT, SETTINGS
from tests.hosts.traps import canary
from tests.support.fleet import Fleet, Play, differences, on_all

pytestmark = pytest.mark.host

# What people's own commands wrote into their own homes is theirs; nothing of it comes from the installation.
PEOPLE = ("/home/mallory/.local", "/home/alice/.local", "/root/.local")
DATA = ("/var/lib/hypertool", "/var/lib/prometheus", "/var/lib/hypertool-grafana")


def theirs_left_out(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(tuple(f"+ files: {path}" for path in PEOPLE))]


@pytest.fixture(scope="module")
def uninstalled(fleet: Fleet, installed: Play, trapped: dict[str, str]) -> Play:
    return fleet.play("uninstall.yml").succeeded()


def test_uninstalling_leaves_only_data(fleet: Fleet, fresh: dict[str, dict[str, Any]], uninstalled: Play) -> None:
    after = fleet.snapshots()
    for name in fleet.hosts:
        left = theirs_left_out(differences(fresh[name], after[name]))
        assert [line for line in left if not line.startswith(tuple(f"+ files: {path}" for path in DATA))] == [], name
        assert any("/var/lib/hypertool/" in line for line in left), f"{name}: the store is gone"
        assert any("/var/lib/prometheus/" in line for line in left), f"{name}: the samples are gone"


def test_agents_user_only_leaves_the_group(fleet: Fleet, uninstalled: Play) -> None:
    """The agents' user is out of the group, and otherwise unchanged."""
    for host in fleet.hosts.values():
        assert host.user(AGENT).exists
        assert host.user(AGENT).groups == [AGENT]
        assert host.file(f"/home/{AGENT}/.claude/settings.json").content_string == SETTINGS


def test_purge_after_uninstalling_leaves_nothing(
    fleet: Fleet, fresh: dict[str, dict[str, Any]], uninstalled: Play
) -> None:
    """Uninstalling again with `purge` leaves nothing at all."""
    fleet.play("uninstall.yml", "-e", "hypertool_purge_data=true").succeeded()
    after = fleet.snapshots()
    left = {name: theirs_left_out(differences(fresh[name], after[name])) for name in fresh}
    assert left == {name: [] for name in fresh}, "\n".join(line for lines in left.values() for line in lines)


@pytest.mark.shared_host("S2")
def test_no_uninstallation_followed_a_members_traps(fleet: Fleet, uninstalled: Play, trapped: dict[str, str]) -> None:
    """Neither the one that keeps data nor the one that deletes them changed what a member's links name."""
    assert on_all(fleet.hosts, canary) == trapped


def test_uninstalling_a_virgin_host_changes_nothing(fleet: Fleet, uninstalled: Play) -> None:
    """Uninstalling where nothing was installed succeeds and changes nothing."""
    again = fleet.play("uninstall.yml", "-e", "hypertool_purge_data=true").succeeded()
    assert all(told["changed"] == 0 for told in again.recap.values()), again.recap
