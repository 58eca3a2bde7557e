"""An installed host, at any time: units steady, targets up, rules healthy, nothing open, nothing readable in vain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

from tests.hosts.conftest import SECRET, STRANGER
from tests.hosts.test_1_installation import assert_every_query_runs
from tests.support.box import until
from tests.support.fleet import ask, clock_service_said, modes, on_all

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
OURS = ("hypertool-exporter", "hypertool-alert-log")
PACKAGED = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
CLOCK = "hypertool-prometheus-clock"
JOBS = {"alertmanager", "hypertool", "node", "prometheus"}


def units(host: Host) -> list[str]:
    """The units that have to run; Grafana where its package could be had."""
    extra = ["grafana-server"] if host.file("/etc/systemd/system/grafana-server.service.d").exists else []
    return [*OURS, *PACKAGED, *extra]


def restarts(host: Host) -> dict[str, str]:
    """Unit -> its state and how often it restarted by itself."""
    names = units(host)
    shown = host.check_output(f"systemctl show -p ActiveState,SubState,NRestarts {' '.join(names)}")
    return dict(zip(names, (" ".join(sorted(part.split())) for part in shown.split("\n\n")), strict=True))


def scrapes(host: Host) -> dict[str, tuple[str, str]]:
    active = json.loads(ask(host, "http://127.0.0.1:9090/api/v1/targets?state=active"))["data"]["activeTargets"]
    return {one["labels"]["job"]: (one["lastScrape"], one["health"]) for one in active}


def assert_steady(host: Host) -> None:
    """Active, and not restarting while every target is scraped twice more and is up."""

    def every_target_up() -> dict[str, tuple[str, str]] | None:
        seen = scrapes(host)
        return seen if set(seen) >= JOBS and all(health == "up" for _, health in seen.values()) else None

    before = restarts(host)
    wrong = {unit: state for unit, state in before.items() if "ActiveState=active" not in state}
    assert not wrong, f"{wrong}\n" + "\n".join(host.run(f"journalctl -n 20 --no-pager -u {u}").stdout for u in wrong)
    seen = until("every target to be up", 60, every_target_up)
    for _ in range(2):
        last = seen

        def scraped_again(last: dict[str, tuple[str, str]] = last) -> dict[str, tuple[str, str]] | None:
            now = scrapes(host)
            return now if all(now.get(job, ("",))[0] > last[job][0] for job in JOBS) else None

        seen = until("every target to be scraped again", 60, scraped_again)
        assert {job: health for job, (_, health) in seen.items()} == dict.fromkeys(seen, "up")
    assert restarts(host) == before


def unsteadiness(host: Host) -> str:
    """What `assert_steady` says; empty for a host that is."""
    try:
        assert_steady(host)
    except AssertionError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def steady(hosts: dict[str, Host]) -> dict[str, str]:
    """Both hosts are watched at once; what is wrong with each."""
    return on_all(hosts, unsteadiness)


def test_units_are_enabled(host: Host) -> None:
    shown = host.run(f"systemctl is-enabled {' '.join(units(host))}")
    assert shown.stdout.split() == ["enabled"] * len(units(host))


def test_units_are_steady_and_targets_up(steady: dict[str, str], name: str) -> None:
    """Over two scrapes, no unit restarts and every target is up."""
    assert steady[name] == ""


def test_nothing_else_on_the_host_failed(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_every_rule_is_loaded_and_healthy(host: Host) -> None:
    wanted = {
        (rule.get("alert") or rule["record"])
        for file in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    }

    def all_evaluated() -> list[dict[str, str]] | None:
        groups = json.loads(ask(host, "http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if not any(rule["health"] == "unknown" for rule in rules) else None

    rules = until("every rule to be evaluated once", 60, all_evaluated)
    assert {rule["name"] for rule in rules} == wanted
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_prometheus_knows_its_alertmanager(host: Host) -> None:
    known = json.loads(ask(host, "http://127.0.0.1:9090/api/v1/alertmanagers"))["data"]
    assert [one["url"] for one in known["activeAlertmanagers"]] == ["http://127.0.0.1:9093/api/v2/alerts"]


def test_instance_is_the_hosts_name(host: Host) -> None:
    active = json.loads(ask(host, "http://127.0.0.1:9090/api/v1/targets?state=active"))["data"]["activeTargets"]
    assert {one["labels"]["instance"] for one in active} == {host.check_output("hostname")}


def test_every_query_of_the_dashboards_runs(host: Host) -> None:
    assert_every_query_runs(host)


def test_the_runbook_is_served_where_alerts_point_to(host: Host) -> None:
    page = ask(host, "http://127.0.0.1:9090/user/runbook.html")
    assert 'id="tokenbudgetexceeded"' in page


def test_printed_addresses_show_pages(host: Host) -> None:
    """What `hypertool baseline` prints leads to content on the distribution's own Prometheus, not only to a port."""
    found = {one["what"]: one for one in json.loads(host.check_output("hypertool baseline --json"))["places"]}
    shown = {what: found[what]["now"] for what in ("metrics", "Prometheus", "alerts", "runbook")}
    assert shown == {"metrics": "shows this run", **dict.fromkeys(("Prometheus", "alerts", "runbook"), "shows a page")}


def test_nothing_of_ours_listens_beyond_loopback(host: Host) -> None:
    ours = ("hypertool", "prometheus", "alertmanager", "node_exporter", "node-exporter", "grafana", "python")
    listening = [line.split(None, 5) for line in host.check_output("ss -Hltnup").splitlines()]
    addresses = {
        fields[4]: fields[5] if len(fields) > 5 else ""
        for fields in listening
        if any(program in fields[-1] for program in ours)
    }
    ports = {address.rpartition(":")[2] for address in addresses}
    assert {"9464", "9465", "9090", "9093", "9100"} <= ports, addresses
    open_to_others = {a: p for a, p in addresses.items() if not re.match(r"(127\.|\[::1\]|\[::ffff:127\.)", a)}
    assert open_to_others == {}


def test_a_fresh_host_listens_nowhere_but_on_loopback(fleet: object, host: Host) -> None:
    shown = [line.split()[4] for line in host.check_output("ss -Hltnu").splitlines()]
    assert [address for address in shown if not address.startswith(("127.", "[::1]"))] == []


MODES = {
    "/etc/hypertool": "755 root:root",
    "/etc/hypertool/alertmanager/secrets": "750 root:prometheus",
    "/etc/hypertool/hypertool.toml": "644 root:root",
    "/etc/systemd/system/hypertool-exporter.service": "644 root:root",
    "/opt/hypertool": "755 root:root",
    "/etc/hypertool/secrets": "750 root:prometheus",
    "/etc/hypertool/secrets/amtool.yml": "600 root:root",
    "/etc/hypertool/secrets/netrc": "600 root:root",
    "/etc/hypertool/secrets/web.yml": "640 root:prometheus",
    "/etc/hypertool/secrets/web_password": "640 root:prometheus",
    "/var/lib/hypertool": "2750 root:hypertool",
    "/var/lib/hypertool/live": "3770 hypertool:hypertool",
    "/var/lib/hypertool/requests": "3770 hypertool:hypertool",
    "/var/lib/hypertool/service": "700 hypertool:hypertool",
    "/var/lib/hypertool/shared": "2750 hypertool:hypertool",
}


def test_modes_are_what_they_should_be(host: Host) -> None:
    assert modes(host, MODES) == MODES


def test_nothing_of_ours_is_writable_by_others(host: Host) -> None:
    """None of our files is writable for everybody or for a service."""
    ours = "/etc/hypertool /opt/hypertool /var/lib/hypertool /usr/local/bin /etc/systemd/system"
    assert host.check_output(f"find {ours} -perm /0002 -not -type l") == ""
    # What runs as a service may be exchanged by root only.
    programs = "/etc/hypertool /opt/hypertool /etc/systemd/system"
    assert host.check_output(f"find {programs} -not -user root") == ""
    assert host.check_output(f"find {programs} -perm /0020 -not -type l") == ""


def test_secret_is_in_one_file_of_its_service(fleet: object, host: Host) -> None:
    """Each secret is in one file, and only its service can read it."""
    secret = host.file("/etc/hypertool/alertmanager/secrets/drill_token")
    assert (f"{secret.mode:o}", secret.user, secret.group) == ("640", "root", "prometheus")
    assert secret.content_string.strip() == SECRET
    # A pattern that does not match itself, because the search is a process with arguments too.
    pattern = f"[{SECRET[0]}]{SECRET[1:]}"
    places = "/etc /var/lib /var/log /opt /usr/local /root /home /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    assert host.run(f"grep -rls '{pattern}' {places}").stdout.split() == [secret.path]
    assert host.run(f"runuser -u {STRANGER} -- cat {secret.path}").rc != 0
    assert host.run(f"journalctl --no-pager --boot | grep '{pattern}'").stdout == ""


def test_every_unit_has_a_good_security_score(host: Host) -> None:
    limits = dict.fromkeys(OURS, 1.1) | dict.fromkeys(PACKAGED, 1.2) | {"prometheus-node-exporter": 1.5, CLOCK: 1.2}
    command = "for unit in %s; do systemd-analyze security --no-pager $unit.service | tail -n 1; done"
    shown = host.check_output(command % " ".join(limits))
    scores = {unit: float(score) for unit, score in re.findall(r"level for (\S+)\.service: ([\d.]+)", shown)}
    print(scores)
    assert set(scores) == set(limits)
    assert {unit: score for unit, score in scores.items() if score > limits[unit]} == {}


def test_change_of_the_clock_is_looked_after(fleet: object, host: Host) -> None:
    """The timer waits for one, and its service gets an answer from Prometheus and leaves a good one alone."""
    said = clock_service_said(host, CLOCK, "prometheus")
    assert "nothing to do" in said
    assert "Alertmanager was not told" not in said
    assert "Failed to parse" not in said


def test_no_conffile_of_a_package_was_touched(fleet: object, host: Host) -> None:
    names = "prometheus prometheus-alertmanager prometheus-node-exporter"
    # Only the lines of conffiles (c): manuals are left out of a sandbox host on purpose.
    verified = host.run(f"dpkg --verify {names}").stdout.splitlines()
    assert [line for line in verified if " c /" in line] == []


def test_commands_are_there_for_everybody(host: Host) -> None:
    for command in ("hypertool", "tta-persona"):
        assert host.check_output(f"runuser -u nobody -- /usr/local/bin/{command} --version").startswith(command)


def test_two_exporters_on_one_port_name_the_holder(fleet: object, host: Host) -> None:
    second = host.run("timeout 20 hypertool exporter")
    holder = host.check_output("systemctl show hypertool-exporter -P MainPID")
    assert second.rc not in (0, 124)
    assert holder in second.stderr, second.stderr
