"""Other versions, from a signed repository: up and down by one variable, and in no other way."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import NEXT, VERSION, Playing, main_pids
from tests.support.alloy_package import PackageRepository
from tests.support.fleet import Fleet, Play, ask, on_all

pytestmark = pytest.mark.host


def versions(fleet: Fleet) -> set[str]:
    return set(on_all(fleet.hosts, lambda host: str(host.check_output("dpkg-query -W -f '${Version}' alloy"))).values())


def signed(repository: PackageRepository) -> dict[str, Any]:
    """Variables for a mirror that signs with a key of its own."""
    return {
        "grafana_repository_url": repository.url,
        "grafana_repository_key_fingerprints": [repository.fingerprint],
        "alloy_package_file": "",
    }


@pytest.fixture(scope="module")
def upgraded(fleet: Fleet, installed: Play, repository: PackageRepository, play: Playing) -> dict[str, str]:
    """The next version, from the repository; the main processes from before."""
    pids = main_pids(fleet)
    play("site.yml", "--tags", "alloy", **signed(repository), alloy_version=NEXT).succeeded()
    return pids


def test_new_version_comes_from_the_signed_repository(fleet: Fleet, upgraded: dict[str, str]) -> None:
    """A new version comes from the signed repository, and runs."""
    assert versions(fleet) == {NEXT}
    after = main_pids(fleet)
    assert all(after[name] != upgraded[name] for name in after)
    for host in fleet.hosts.values():
        ask(host, "http://127.0.0.1:12345/-/ready")


def test_nobody_else_changes_the_version(fleet: Fleet, upgraded: dict[str, str], repository: PackageRepository) -> None:
    def upgrade(host: Host) -> str:
        host.check_output("apt-mark showhold | grep -qx alloy")
        host.check_output("dpkg --compare-versions 1.18.2-1 lt 1.18.3-1")
        return str(host.check_output("apt-get --assume-yes --simulate dist-upgrade"))

    assert all("Inst alloy" not in said for said in on_all(fleet.hosts, upgrade).values())


def test_an_older_version_is_gone_back_to(
    fleet: Fleet, upgraded: dict[str, str], repository: PackageRepository, play: Playing
) -> None:
    play("site.yml", "--tags", "alloy", **signed(repository)).succeeded()
    assert versions(fleet) == {VERSION}
    on_all(fleet.hosts, lambda host: host.check_output("apt-mark showhold | grep -qx alloy"))
    for host in fleet.hosts.values():
        ask(host, "http://127.0.0.1:12345/-/ready")
