"""What holds once has to hold after a restart of every service and after a reboot of the host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from tests.hosts.test_2_services import units, unsteadiness
from tests.hosts.test_4_people import exposed
from tests.support.box import until
from tests.support.fleet import Fleet, Play, on_all

pytestmark = pytest.mark.host

EXPORTER = "hypertool-exporter"
COUNTERS = "hypertool_persona_tokens_used_total"


def steady(fleet: Fleet) -> dict[str, str]:
    """What is wrong on each host after what was done to it; both are watched at once."""
    return on_all(fleet.hosts, unsteadiness)


def counted(fleet: Fleet) -> dict[str, float]:
    return on_all(fleet.hosts, lambda host: exposed(host, COUNTERS))


@pytest.mark.parametrize("how", ["restart of every service", "reboot"])
def test_everything_is_back_and_complete_after_a(fleet: Fleet, installed: Play, how: str) -> None:
    """After each kind of restart, everything is up again and nothing is lost."""
    before = counted(fleet)
    assert all(before.values()), "nothing was counted that could be lost"
    if how == "reboot":
        with ThreadPoolExecutor(len(fleet.hosts)) as pool:
            list(pool.map(lambda name: fleet.box.run("restart", name), fleet.hosts))
    else:
        on_all(fleet.hosts, lambda host: host.check_output(f"systemctl restart {' '.join(units(host))}"))
    assert steady(fleet) == dict.fromkeys(fleet.hosts, "")
    assert counted(fleet) == before


def kill_and_see_it_back(host: Host) -> None:
    """The exporter is active again, as another process: right after its death systemd still calls the old one so."""

    def process() -> str | None:
        return host.run(f"systemctl is-active -q {EXPORTER} && systemctl show {EXPORTER} -P MainPID").stdout or None

    killed = process()
    assert killed, f"{EXPORTER} is not active"
    host.check_output(f"systemctl kill --signal=SIGKILL {EXPORTER}")
    until(
        f"{EXPORTER} to be active again",
        20,
        lambda: process() not in (None, killed) or None,
        lambda: host.run(f"journalctl -n 20 --no-pager -u {EXPORTER}").stdout,
    )


def test_killed_exporter_returns_and_loses_nothing(fleet: Fleet, installed: Play) -> None:
    """A killed exporter starts again and loses nothing."""
    before = counted(fleet)
    on_all(fleet.hosts, kill_and_see_it_back)
    assert counted(fleet) == before
    on_all(fleet.hosts, lambda host: host.check_output(f"systemctl reset-failed {EXPORTER}"))
