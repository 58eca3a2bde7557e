"""What happens to a host after the installation, in the order of its life; the services and the numbers survive it."""

from __future__ import annotations

import json
import re

import pytest
from testinfra.host import Host

from tests.changed_hosts.conftest import LEAVES, NAME, STAYS
from tests.hosts.test_2_services import assert_steady
from tests.hosts.test_4_people import TOKENS, exposed
from tests.support.box import until
from tests.support.fleet import Fleet, Play, ask, prometheus, value

pytestmark = pytest.mark.host

#: Where the sources of Debian 12's installation stand, and what they name.
OLD, NEW = "bookworm", "trixie"


def fired(host: Host) -> set[str]:
    """The alerts that fired in the last ten minutes, without those on the host's old name, which are silenced."""
    told = f'ALERTS{{alertstate="firing", alertname!="Watchdog", instance!="{NAME}"}}'
    asked = f"group by (alertname) (last_over_time({told}[10m]))"
    answer = prometheus(host)("/api/v1/query", {"query": asked})
    return {one["metric"]["alertname"] for one in answer["data"]["result"]}


def states(host: Host, instance: str) -> set[str]:
    """The states of the alerts about an instance, as Alertmanager has them."""
    found = json.loads(ask(host, "http://127.0.0.1:9093/api/v2/alerts"))
    return {one["status"]["state"] for one in found if one["labels"].get("instance") == instance}


def run_baseline(host: Host) -> float:
    """Run the baseline as the agent; returns the tokens of one of its personas at the endpoint afterwards."""
    before = exposed(host, TOKENS)
    host.check_output(f"runuser -l {STAYS} -c 'hypertool baseline'")
    return until("the run to be exposed", 30, lambda: exposed(host, TOKENS) if exposed(host, TOKENS) > before else None)


def test_installation_waits_for_dpkgs_lock(installed: Play, host: Host) -> None:
    """Another apt that holds the lock when the play comes delays it and does not break it."""
    assert host.file("/root/lock-was-wanted").content_string == "3"
    assert_steady(host)


def test_deleted_user_does_not_stop_the_play(fleet: Fleet, installed: Play, host: Host) -> None:
    """The play names the user who is gone before it changes anything, and works without that name."""
    run_baseline(host)
    host.check_output(f"userdel --remove {LEAVES}")
    refused = fleet.play("site.yml")
    assert refused.code != 0
    assert f"{LEAVES}" in refused.output
    assert refused.changed(NAME) == []
    done = fleet.play("site.yml", "--diff", "-e", f'{{"hypertool_agent_users": ["{STAYS}"]}}').succeeded()
    assert f"{LEAVES}: this user is gone, and with it the hooks for codex" in " ".join(done.output.split())


def test_renamed_host_keeps_its_numbers_and_is_quiet(fleet: Fleet, installed: Play, host: Host) -> None:
    """After a play the new name is the instance, alerts on the old one are silenced, and the counters go on."""
    before = run_baseline(host)
    old = host.check_output("hostname -s")
    host.check_output("hostname renamed")
    fleet.play("site.yml", "-e", f'{{"hypertool_agent_users": ["{STAYS}"]}}').succeeded()
    until("the new name", 60, lambda: value(host, 'up{job="hypertool", instance="renamed"}') == 1 or None)
    assert exposed(host, TOKENS) == before
    # The rules ask for the old name, and the play has silenced what they say of it.
    until("the old name's alert to be silenced", 600, lambda: states(host, old) == {"suppressed"} or None)


def test_removed_and_installed_again_keeps_the_numbers(fleet: Fleet, installed: Play, host: Host) -> None:
    """An uninstallation that keeps the data, and another installation: the counters go on where they were."""
    before = run_baseline(host)
    fleet.play("uninstall.yml").succeeded()
    assert host.run("systemctl is-active hypertool-exporter").stdout.strip() != "active"
    fleet.play("site.yml", "-e", f'{{"hypertool_agent_users": ["{STAYS}"]}}').succeeded()
    assert exposed(host, TOKENS) == before
    assert_steady(host)


def test_everything_runs_after_a_full_upgrade(fleet: Fleet, installed: Play, host: Host) -> None:
    """`apt full-upgrade` from Debian 12 to 13 and a reboot: all services run, nothing is lost, nothing alarms."""
    before = run_baseline(host)
    host.check_output(
        f"find /etc/apt -name '*.list' -o -name '*.sources' | xargs sed -i 's/{OLD}/{NEW}/g'; apt-get update -q"
    )
    quiet = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qy"
    upgraded = host.run(f"{quiet} -o Dpkg::Options::=--force-confold full-upgrade")
    assert upgraded.rc == 0, upgraded.stdout[-3000:] + upgraded.stderr[-3000:]
    host.check_output(f"{quiet} autoremove --purge")
    assert re.match("13", host.check_output("cat /etc/debian_version"))
    fleet.box.run("restart", NAME)
    assert_steady(host)
    assert exposed(host, TOKENS) == before
    assert run_baseline(host) == before + 850
    assert fired(host) == set()


def test_play_works_after_the_upgrade(fleet: Fleet, installed: Play, host: Host) -> None:
    """The play brings the new release's tools, keeps the numbers, and a second one changes nothing."""
    before = exposed(host, TOKENS)
    users = ("-e", f'{{"hypertool_agent_users": ["{STAYS}"]}}')
    fleet.play("site.yml", *users).succeeded()
    assert_steady(host)
    assert exposed(host, TOKENS) == before
    host.check_output("promtool --version")
    assert fleet.play("site.yml", *users).succeeded().changed(NAME) == []
