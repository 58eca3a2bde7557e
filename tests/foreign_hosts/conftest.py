"""Hosts that already have other software: compared before an installation and after the uninstallation."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.foreign_hosts.situations import HOSTS, SCRIPTS, SITUATIONS, Situation
from tests.support.alloy_package import PackageRepository, build_package, package_repository
from tests.support.box import obstacle
from tests.support.fleet import Fleet, Play, fresh_fleet, on_all
from tests.support.small_package import grafana_double, small_package

DIRECTORY = Path("/var/lib/hypertool-sandbox-foreign")
#: Root's password, on the hosts where `su` asks for one.
PASSWORD = "root-of-a-test-host"

Looks = dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if obstacle():
        pytest.skip(obstacle())
    with fresh_fleet(DIRECTORY, HOSTS) as made:
        yield made


@pytest.fixture(scope="session")
def repository(fleet: Fleet) -> Iterator[PackageRepository]:
    """Stands where Grafana's package repository does, at this machine's address as the hosts see it."""
    gateway = next(iter(fleet.hosts.values())).check_output("ip route show default").split()[2]
    with package_repository(DIRECTORY / "r", gateway) as made:
        loki = [
            small_package(DIRECTORY, "loki", version, {"usr/bin/loki": "#!/bin/sh\n"}) for version in ("1.0-1", "1.1-1")
        ]
        made.add(*loki, build_package(DIRECTORY), grafana_double(DIRECTORY))
        yield made


@pytest.fixture(scope="session")
def prepared(fleet: Fleet, repository: PackageRepository) -> Fleet:
    """Every situation is there, in the order of the rows."""

    def prepare(name: str) -> None:
        host = fleet.hosts[name]
        host.check_output("apt-get update -q")
        for situation in (one for one in SITUATIONS if one.host == name):
            script = (SCRIPTS / situation.script).read_text(encoding="utf-8")
            done = host.run("REPOSITORY=%s DEBIAN_FRONTEND=noninteractive sh -c %s", repository.url, script)
            assert done.rc == 0, f"{situation.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    on_all({name: name for name in fleet.hosts}, prepare)
    inventory = json.loads(fleet.inventory.read_text(encoding="utf-8"))
    inventory["all"]["vars"] = {
        "hypertool_take_over": True,
        "hypertool_collector": "prometheus",
        "grafana_repository_url": repository.url,
        "grafana_repository_probe_timeout": 2,
    }
    # Other ports, where other programs occupy ours.
    inventory["all"]["hosts"]["tarball"].update(alertmanager_port=9193, node_exporter_port=9200)
    inventory["all"]["hosts"]["removed"].update(
        prometheus_port=9095,
        grafana_repository_url="http://127.0.0.1:9",
        ansible_user="ops",
        ansible_become_method="su",
        ansible_become_password=PASSWORD,
    )
    fleet.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    return fleet


def look(fleet: Fleet) -> Looks:
    """What each situation's commands print, by situation and command."""

    def ask(name: str) -> Looks:
        host = fleet.hosts[name]
        found: Looks = {}
        for situation in (one for one in SITUATIONS if one.host == name):
            answers = {}
            for command in situation.same:
                done = host.run("sh -c %s", command)
                answers[command] = f"{done.stdout}{done.stderr if done.rc else ''}"
            found[situation.name] = answers
        return found

    return {key: value for looks in on_all({n: n for n in fleet.hosts}, ask).values() for key, value in looks.items()}


@pytest.fixture(scope="session")
def before(prepared: Fleet) -> tuple[dict[str, dict[str, Any]], Looks]:
    """Snapshot of every host, and what each situation's commands print."""
    return prepared.snapshots(), look(prepared)


@pytest.fixture(scope="session")
def rehearsed(prepared: Fleet, before: object) -> Play:
    return prepared.play("site.yml", "--check", "--diff")


@pytest.fixture(scope="session")
def installed(prepared: Fleet, rehearsed: Play) -> Play:
    return prepared.play("site.yml")


@pytest.fixture(scope="session")
def meanwhile(prepared: Fleet, installed: Play) -> dict[str, list[str]]:
    """The commands that fail while we are installed, with what they print, by situation."""
    failed: dict[str, list[str]] = {}
    for situation in SITUATIONS:
        host = prepared.hosts[situation.host]
        answers = [(command, host.run("sh -c %s", command)) for command in situation.meanwhile]
        failed[situation.name] = [
            f"{shlex.quote(command)}: {done.stdout}{done.stderr}" for command, done in answers if done.rc
        ]
    return failed


@pytest.fixture(scope="session")
def uninstalled(prepared: Fleet, installed: Play, meanwhile: object) -> Play:
    return prepared.play("uninstall.yml", "-e", "hypertool_purge_data=true")


@pytest.fixture(scope="session")
def after(prepared: Fleet, uninstalled: Play) -> tuple[dict[str, dict[str, Any]], Looks]:
    return prepared.snapshots(), look(prepared)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "situation" in metafunc.fixturenames:
        metafunc.parametrize("situation", SITUATIONS, ids=[one.script for one in SITUATIONS])
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", HOSTS)


__all__ = ["Situation"]
