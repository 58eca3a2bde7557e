"""Two fresh hosts, the stand-in for Grafana Cloud where they reach it, and packages of Alloy: real, or the double."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.support.alloy_package import DOUBLE, PackageRepository, build_package, package_repository
from tests.support.alloy_program import alloy_program
from tests.support.box import obstacle
from tests.support.cloud import CloudStandIn, cloud_stand_in
from tests.support.fleet import Fleet, Play, fresh_fleet, on_all

RELEASES = ("bookworm", "trixie")
DIRECTORY = Path("/var/lib/hypertool-sandbox-alloy")
#: The one that is installed first, and the one that it is upgraded to.
VERSION, NEXT = "1.18.1-1", "1.18.2-1"
REAL = alloy_program() is not None
STRANGER = "mallory"

Playing = Callable[..., Play]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", RELEASES)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if obstacle():
        pytest.skip(obstacle())
    with fresh_fleet(DIRECTORY, RELEASES, prepare=prepare) as made:
        yield made


def prepare(host: Host) -> None:
    # The runbook's commands need curl.
    host.check_output("apt-get update -q")
    host.check_output("apt-get install -qy --no-install-recommends curl")
    host.check_output(f"useradd --create-home --shell /bin/bash {STRANGER}")


@pytest.fixture(scope="session")
def gateway(fleet: Fleet) -> str:
    """This machine's address as the hosts see it."""
    return str(fleet.hosts[RELEASES[0]].check_output("ip route show default").split()[2])


@pytest.fixture(scope="session")
def cloud(fleet: Fleet, gateway: str) -> Iterator[CloudStandIn]:
    with cloud_stand_in(DIRECTORY / "cloud", gateway) as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def packages(fleet: Fleet) -> dict[str, Path]:
    """Package by version: around the real program where there is one, else around the double."""
    return {version: build_package(DIRECTORY, version, alloy_program() or DOUBLE) for version in (VERSION, NEXT)}


@pytest.fixture(scope="session")
def repository(fleet: Fleet, gateway: str, packages: Mapping[str, Path]) -> Iterator[PackageRepository]:
    with package_repository(DIRECTORY / "r", gateway) as made:
        made.add(*packages.values())
        yield made


@pytest.fixture(scope="session")
def variables(cloud: CloudStandIn, packages: Mapping[str, Path]) -> dict[str, Any]:
    """The variables of an installation without any repository; the proof at the end needs a real pipeline."""
    return {
        **{name.lower(): value for name, value in cloud.environment().items()},
        "grafana_cloud_token": cloud.token,
        "grafana_cloud_read_token": cloud.read_token,
        "grafana_cloud_ca_file": str(cloud.ca_file),
        "grafana_cloud_proof_timeout": 90 if REAL else 0,
        "grafana_repository_url": "http://127.0.0.1:9",
        "grafana_repository_probe_timeout": 1,
        "hypertool_destination": "grafana_cloud",
        "hypertool_collector": "alloy",
        "alloy_package_file": str(packages[VERSION]),
        "alloy_guard_seconds": 3,
    }


@pytest.fixture(scope="session")
def play(fleet: Fleet, variables: Mapping[str, Any]) -> Playing:
    """`play(BOOK, ARGUMENTS..., of={host: variables}, **variables)`: variables by a file, as a person should, too."""

    def run(book: str, *arguments: str, of: Mapping[str, Mapping[str, Any]] | None = None, **more: Any) -> Play:
        inventory = json.loads(fleet.inventory.read_text(encoding="utf-8"))
        inventory["all"]["vars"] = {**variables, **more}
        kept = {name: dict(facts) for name, facts in inventory["all"]["hosts"].items()}
        for name, facts in (of or {}).items():
            inventory["all"]["hosts"][name].update(facts)
        fleet.inventory.write_text(json.dumps(inventory), encoding="utf-8")
        try:
            return fleet.play(book, *arguments)
        finally:
            inventory["all"] = {"hosts": kept, "vars": {}}
            fleet.inventory.write_text(json.dumps(inventory), encoding="utf-8")

    return run


@pytest.fixture(scope="session")
def fresh(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What was on the hosts before us."""
    return fleet.snapshots()


@pytest.fixture(scope="session")
def rehearsal(fresh: dict[str, Any], play: Playing) -> Play:
    """Check mode on hosts that have nothing yet."""
    return play("site.yml", "--check", "--diff")


@pytest.fixture(scope="session")
def after_rehearsal(fleet: Fleet, rehearsal: Play) -> dict[str, dict[str, Any]]:
    return fleet.snapshots()


@pytest.fixture(scope="session")
def installed(after_rehearsal: dict[str, Any], play: Playing) -> Play:
    """The one installation, told as loudly as can be, because nothing in it may be secret."""
    done = play("site.yml", "--diff", "-vvv").succeeded()
    print(f"\ninstalled two hosts with {'a real Alloy' if REAL else 'the double'} in {done.seconds:.0f} s")
    return done


@pytest.fixture
def host(fleet: Fleet, installed: Play, name: str) -> Host:
    return fleet.hosts[name]


def last_proof(cloud: CloudStandIn, name: str) -> str:
    """The run id of a host's newest proof of delivery: its gauge is taken away, and stale, soon after."""
    gauge = f'hypertool_delivery_proof_timestamp_seconds{{instance="{name}"}}'
    rows = cloud.query(f"max(max_over_time({gauge}[15m]))")
    assert len(rows) == 1, f"no sample of {name} arrived"
    return f"{float(rows[0]['value'][1]):.3f}"


def main_pids(fleet: Fleet, unit: str = "alloy") -> dict[str, str]:
    return on_all(fleet.hosts, lambda host: str(host.check_output(f"systemctl show {unit} -P MainPID")))


def generation(host: Host) -> str:
    """The active one."""
    return str(host.check_output("readlink /etc/alloy/hypertool/current")).rpartition("/")[2]
