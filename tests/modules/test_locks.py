"""A package manager that is at work for somebody else is waited for, and nothing on the host can ask a question."""

from __future__ import annotations

import pytest

from tests.support.ansible_module import shared_code

commands = shared_code("package_commands")
LOCKED = "dpkg: error: dpkg frontend lock was locked by another process with pid 42"


class Host:
    """Stands where Ansible's module object does: locked for some calls, then as told."""

    def __init__(self, locked: int, rc: int = 0, said: str = "") -> None:
        self.locked, self.rc, self.said = locked, rc, said
        self.environment: dict[str, str] = {}

    def run_command(self, argv: list[str], environ_update: dict[str, str]) -> tuple[int, str, str]:
        self.environment = environ_update
        if self.locked:
            self.locked -= 1
            return 2, "", LOCKED
        return self.rc, "done", self.said


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands.time, "sleep", lambda seconds: None)


def test_a_locked_package_manager_is_waited_for() -> None:
    """Unattended upgrades hold dpkg's lock for minutes; dpkg itself would fail at once."""
    host = Host(locked=3)
    assert commands.PackageCommands(host).run(["dpkg", "--configure", "--pending"], "finishing") == "done"
    assert host.locked == 0


def test_a_lock_that_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three minutes the play fails with the words of dpkg, which name the process."""
    monkeypatch.setattr(commands, "LOCK_SECONDS", 0)
    with pytest.raises(Exception, match="with pid 42"):
        commands.PackageCommands(Host(locked=10**6)).run(["dpkg", "--configure"], "finishing")


def test_another_failure_is_not_tried_again() -> None:
    """Only a lock is worth a second try."""
    host = Host(locked=0, rc=100, said="E: Unable to locate package x")
    with pytest.raises(Exception, match="Unable to locate"):
        commands.PackageCommands(host).run(["apt-get", "install", "x"], "installing x")


def test_no_hook_of_the_host_asks_or_restarts() -> None:
    """needrestart, apt-listchanges and debconf neither wait for an answer nor restart services of others."""
    host = Host(locked=0)
    commands.PackageCommands(host).run(["apt-get", "install", "x"], "installing x")
    assert host.environment["DEBIAN_FRONTEND"] == "noninteractive"
    assert host.environment["NEEDRESTART_SUSPEND"] == "1"
    assert host.environment["APT_LISTCHANGES_FRONTEND"] == "none"
