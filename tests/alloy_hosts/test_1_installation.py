"""From nothing to a running, hardened service whose token is in one place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import STRANGER, VERSION, Playing, generation, main_pids
from tests.rules.runbook_blocks import pasteable
from tests.support.cloud import CloudStandIn
from tests.support.fleet import Fleet, Play, ask, clock_service_said, differences, modes
from tests.support.pasting import pasted

pytestmark = pytest.mark.host

TOKEN_FILE = "/etc/alloy/secrets/grafana_cloud_token"


def test_check_mode_on_a_virgin_host_changes_nothing(
    fresh: dict[str, Any], rehearsal: Play, after_rehearsal: dict[str, Any]
) -> None:
    rehearsal.succeeded()
    assert {name: differences(fresh[name], after_rehearsal[name]) for name in fresh} == {name: [] for name in fresh}
    assert all(rehearsal.recap[name]["changed"] > 5 for name in fresh), "it has to say what it would change"


def test_second_play_changes_and_restarts_nothing(fleet: Fleet, installed: Play, play: Playing) -> None:
    """A second run of the playbook changes nothing and restarts nothing."""
    before = main_pids(fleet)
    again = play("site.yml", "--diff").succeeded()
    assert {name: again.changed(name) for name in fleet.hosts} == {name: [] for name in fleet.hosts}
    assert main_pids(fleet) == before


def test_service_is_enabled_ready_and_healthy(host: Host) -> None:
    """Alloy is running, enabled and ready, and every component is healthy."""
    assert host.check_output("systemctl is-active alloy") == "active"
    assert host.check_output("systemctl is-enabled alloy") == "enabled"
    ask(host, "http://127.0.0.1:12345/-/ready")
    found = json.loads(ask(host, "http://127.0.0.1:12345/api/v0/web/components"))
    assert {"prometheus.remote_write.destination", "loki.write.destination", "prometheus.scrape.targets"} <= {
        one["localID"] for one in found
    }
    assert {one["localID"]: one["health"]["message"] for one in found if one["health"]["state"] != "healthy"} == {}


def test_change_of_the_clock_is_looked_after(host: Host) -> None:
    """The timer waits for one, and its service gets an answer from Alloy and leaves a good one alone."""
    said = clock_service_said(host, "hypertool-alloy-clock", "alloy")
    assert "nothing to do" in said
    assert "Failed to parse" not in said


def test_only_what_the_destination_needs_is_installed(host: Host) -> None:
    names = host.check_output("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'").splitlines()
    assert "alloy installed" in names
    assert [name for name in names if name.startswith(("prometheus", "grafana"))] == []


def test_the_version_is_held(host: Host) -> None:
    assert host.check_output("dpkg-query -W -f '${Version}' alloy") == VERSION
    assert host.check_output("apt-mark showhold") == "alloy"


def test_nothing_listens_beyond_loopback(host: Host) -> None:
    shown = [line.split()[4] for line in host.check_output("ss -Hltnu").splitlines()]
    assert "127.0.0.1:12345" in shown
    assert [address for address in shown if not address.startswith(("127.", "[::1]"))] == []


def test_it_is_hardened(host: Host) -> None:
    shown = host.check_output("systemd-analyze security --no-pager alloy.service | tail -n 1")
    score = re.search(r": ([\d.]+)", shown)
    assert score, shown
    print(score[1])
    assert float(score[1]) <= 3.0
    assert int(host.check_output("systemctl show alloy -P MemoryMax")) < 2**40


MODES = {
    "/etc/alloy": "750 root:alloy",
    "/etc/alloy/hypertool": "750 root:alloy",
    "/etc/alloy/hypertool/current/environment": "640 root:alloy",
    "/etc/alloy/conf.d": "750 root:alloy",
    "/etc/alloy/secrets": "750 root:alloy",
    TOKEN_FILE: "640 root:alloy",
    "/etc/alloy/secrets/web_password": "640 root:alloy",
    "/etc/hypertool/secrets": "750 root:root",
    "/etc/hypertool/secrets/web_password": "640 root:root",
    "/etc/hypertool/secrets/netrc": "600 root:root",
    "/etc/alloy/targets/hypertool.yml": "644 root:root",
    "/etc/systemd/system/alloy.service.d/10-hypertool.conf": "644 root:root",
}


def test_modes_are_right_and_package_files_untouched(host: Host) -> None:
    """Files have the modes that they should have, and no file of the package was changed."""
    assert [line for line in host.run("dpkg --verify alloy").stdout.splitlines() if " c /" in line] == []
    assert modes(host, MODES) == MODES


def leaks(host: Host, secret: str) -> list[str]:
    """Where on a host a text is found: files, arguments and environments of processes, journal, and Alloy's answers."""
    # A pattern that does not match itself, because the search is a process with arguments too.
    pattern = f"[{secret[0]}]{secret[1:]}"
    places = "/etc /var/lib /var/log /var/cache /opt /usr/local /root /home /run /tmp"
    processes = "/proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    found = host.run(f"grep -rlsa --devices=skip '{pattern}' {places} {processes}").stdout.split()
    found += host.run(f"journalctl --no-pager --boot | grep -a '{pattern}'").stdout.splitlines()
    listed = "http://127.0.0.1:12345/api/v0/web/components"
    answers = [listed, "http://127.0.0.1:12345/metrics"]
    answers += [f"{listed}/{one['localID']}" for one in json.loads(ask(host, listed))]
    for url in answers:
        if secret in ask(host, url):
            found.append(url)
    return found


def test_runbook_commands_for_alloy_work_when_pasted(host: Host) -> None:
    """Every command of the runbook for Alloy works when it is pasted into a shell."""
    problems = pasted(host, pasteable("alloy"))
    assert not problems, "\n\n".join(problems)


def test_token_is_in_one_file_of_its_service(cloud: CloudStandIn, host: Host) -> None:
    """The token is in one file, and only its service can read it."""
    assert host.file(TOKEN_FILE).content_string == cloud.token
    assert leaks(host, cloud.token) == [TOKEN_FILE]
    assert leaks(host, cloud.read_token) == []
    assert host.run(f"runuser -u {STRANGER} -- cat {TOKEN_FILE}").rc != 0
    assert host.run("runuser -u alloy -- cat " + TOKEN_FILE).rc == 0


def test_alloy_asks_a_stranger_for_the_password(host: Host) -> None:
    """Another user of the host reads nothing of Alloy and has nothing reloaded; root does by netrc."""
    for path in ("/-/ready", "/-/reload", "/metrics", "/api/v0/web/components"):
        url = f"http://127.0.0.1:12345{path}"
        status = "curl --silent --output /dev/null --write-out '%{http_code}' " + url
        assert host.check_output(f"runuser -u {STRANGER} -- {status}") == "401", path
        assert host.check_output(f"{status} --netrc-file /etc/hypertool/secrets/netrc") == "200", path
    assert (
        host.run(f"runuser -u {STRANGER} -- cat /etc/hypertool/secrets/netrc /etc/alloy/secrets/web_password").rc != 0
    )


def test_no_play_shows_the_token(cloud: CloudStandIn, rehearsal: Play, installed: Play) -> None:
    for done in (rehearsal, installed):
        assert "alloy_configuration" in done.output or done is rehearsal
        assert cloud.token not in done.output
        assert cloud.read_token not in done.output


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"alloy_version": "latest"}, "latest"),
        ({"grafana_cloud_logs_user": "1001"}, "1001"),
    ],
)
def test_problems_are_named_before_any_change(
    fleet: Fleet, installed: Play, play: Playing, wrong: dict[str, Any], expected: str
) -> None:
    """Wrong settings are reported before anything on the host is changed."""
    before = {name: generation(host) for name, host in fleet.hosts.items()}
    refused = play("site.yml", "--tags", "alloy", "--limit", "trixie", **wrong)
    assert refused.code != 0
    assert expected in refused.output
    assert refused.recap["trixie"]["changed"] == 0
    assert {name: generation(host) for name, host in fleet.hosts.items()} == before
