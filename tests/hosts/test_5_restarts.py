"""What holds once has to hold after a restart of every service and after a reboot of the host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from tests.hosts.test_2_services import assert_steady, units
from tests.hosts.test_4_people import exposed
from tests.support.fleet import Fleet, Play, on_all

pytestmark = pytest.mark.host

COUNTERS = "hypertool_persona_tokens_used_total"


def steady(fleet: Fleet) -> dict[str, str]:
    """What is wrong on each host after what was done to it; both are watched at once."""

    def watch(host: Host) -> str:
        try:
            assert_steady(host)
        except AssertionError as error:
            return str(error)
        return ""

    return on_all(fleet.hosts, watch)


def counted(fleet: Fleet) -> dict[str, float]:
    return on_all(fleet.hosts, lambda host: exposed(host, COUNTERS))


@pytest.mark.parametrize("how", ["restart of every service", "reboot"])
def test_everything_is_up_again_and_nothing_is_lost_after_a(fleet: Fleet, installed: Play, how: str) -> None:
    before = counted(fleet)
    assert all(before.values()), "nothing was counted that could be lost"
    if how == "reboot":
        with ThreadPoolExecutor(len(fleet.hosts)) as pool:
            list(pool.map(lambda name: fleet.box.run("restart", name), fleet.hosts))
    else:
        on_all(fleet.hosts, lambda host: host.check_output(f"systemctl restart {' '.join(units(host))}"))
    assert steady(fleet) == dict.fromkeys(fleet.hosts, "")
    assert counted(fleet) == before


def test_the_exporter_that_is_killed_loses_nothing_and_comes_back(fleet: Fleet, installed: Play) -> None:
    before = counted(fleet)
    on_all(fleet.hosts, lambda host: host.check_output("systemctl kill --signal=SIGKILL hypertool-exporter"))
    back = "for i in $(seq 100); do systemctl is-active -q hypertool-exporter && exit 0; sleep 0.2; done; exit 1"
    on_all(fleet.hosts, lambda host: host.check_output(f"sh -c '{back}'"))
    assert counted(fleet) == before
    on_all(fleet.hosts, lambda host: host.check_output("systemctl reset-failed hypertool-exporter"))
