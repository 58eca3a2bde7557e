"""Bad input and bad luck: a clear reason, a host that is as it was, and a next play that completes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import Fleet, Play, ask, differences, value

pytestmark = pytest.mark.host

NAME = "bookworm"
PORTS = (9464, 9465, 9090, 9093, 12345, 4317, 4318)
SLACK = Path(__file__).resolve().parents[2] / "prometheus/alertmanager/examples/slack.yml"


@pytest.fixture
def host(fleet: Fleet) -> Host:
    return fleet.hosts[NAME]


@pytest.fixture
def untouched(fleet: Fleet) -> Iterator[None]:
    """What a refused play leaves behind is nothing."""
    before = fleet.snapshots()[NAME]
    yield
    assert differences(before, fleet.snapshots()[NAME]) == []


def refused(play: Play) -> str:
    """The words of a refusal, on one line."""
    assert play.code != 0, f"it should have been refused:\n{play.output[-3000:]}"
    assert "Traceback" not in play.output, play.output[-3000:]
    assert play.recap[NAME]["failed"] == 1
    return " ".join(play.output.split())


def test_an_unsupported_system_is_refused_by_name(fleet: Fleet, host: Host, untouched: None) -> None:
    host.check_output("cp -a --remove-destination /etc/os-release /run/os-release.saved")
    host.check_output("cp -a /usr/lib/os-release /run/os-release.real")
    host.check_output('sed -i \'s/bookworm/bullseye/g; s/"12"/"11"/; s/ 12 / 11 /g\' /usr/lib/os-release')
    host.check_output("cp -a /etc/debian_version /run/version.saved")
    host.check_output("sh -c 'echo 11.9 > /etc/debian_version'")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output("cp -a /run/os-release.real /usr/lib/os-release")
        host.check_output("cp -a /run/version.saved /etc/debian_version")
    assert "It runs Debian 11" in said
    assert "Nothing was changed" in said


def test_taken_ports_name_their_holder(fleet: Fleet, host: Host, untouched: None) -> None:
    """Every port that we would listen on is looked at, Alloy's too; the play says who has it and what to set."""
    listener = f"import socket, time; s = [socket.create_server(('127.0.0.1', p)) for p in {PORTS}]; time.sleep(600)"
    host.check_output("systemd-run --quiet --collect --unit=squatter python3 -c %s", listener)
    # The package is looked at later; that there is one makes the play expect Alloy.
    variables = {"hypertool_collector": "alloy", "alloy_package_file": __file__}
    try:
        until("the ports to be taken", 60, lambda: str(PORTS[-1]) in host.check_output("ss -Hltn") or None)
        said = refused(fleet.play("site.yml", "--extra-vars", json.dumps(variables)))
    finally:
        host.check_output("systemctl stop squatter")
    holder = r"port (\d+) is taken by process \d+ \(\S*python3 .{,120}?, unit squatter.service\)"
    assert {int(port) for port in re.findall(holder, said)} == set(PORTS)
    assert "prometheus_port, alertmanager_port" in said
    assert "Nothing was changed" in said


def test_a_socket_unit_that_holds_a_port_is_named(fleet: Fleet, host: Host, untouched: None) -> None:
    """Cockpit listens on 9090 by a socket unit, whose holder is systemd: the unit is named, not process 1."""
    unit = "/etc/systemd/system/cockpit.{}"
    host.check_output("printf '[Socket]\\nListenStream=9090\\n' > %s", unit.format("socket"))
    host.check_output("printf '[Service]\\nExecStart=/bin/sleep 600\\n' > %s", unit.format("service"))
    host.check_output("systemctl daemon-reload; systemctl start cockpit.socket")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output("systemctl stop cockpit.socket cockpit.service")
        host.check_output("rm %s %s; systemctl daemon-reload", unit.format("socket"), unit.format("service"))
    assert "port 9090 is taken by cockpit.socket" in said
    assert "/sbin/init" not in said
    assert "Nothing was changed" in said


def test_what_somebody_forbade_stays_forbidden(fleet: Fleet, host: Host, untouched: None) -> None:
    """Masked unit, held package, a person's account, no programs on /var, read-only /etc: named before any change."""
    host.check_output("cp -a /etc/passwd /run/passwd && echo prometheus:x:1234:1234::/:/bin/false >> /etc/passwd")
    host.check_output("systemctl mask prometheus.service")
    host.check_output("apt-mark hold prometheus-node-exporter")
    host.check_output("mount --bind /var /var && mount -o remount,bind,noexec /var")
    host.check_output("mount --bind /etc /etc && mount -o remount,bind,ro /etc")
    host.check_output("mount -t tmpfs -o ro,mode=755 none /usr/local/bin")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output("umount /usr/local/bin && umount /etc && umount /var && cp -a /run/passwd /etc/passwd")
        host.check_output("apt-mark unhold prometheus-node-exporter")
        host.check_output("systemctl unmask prometheus.service")
    assert "prometheus.service: masked" in said
    assert "prometheus-node-exporter: held (`apt-mark hold`), so apt refuses to install it" in said
    assert "prometheus, user id 1234: an account as of a person" in said
    assert "/var/lib/dpkg/info: on a file system mounted with noexec" in said
    assert "/etc, /usr/local/bin/hypertool: mounted read-only" in said
    assert "Nothing was changed" in said


def test_two_hosts_of_one_name_are_refused(fleet: Fleet, untouched: None) -> None:
    """Their series would be mixed without a word: both are refused, each by the name of the other."""
    inventory = json.loads(fleet.inventory.read_text(encoding="utf-8"))
    facts = inventory["all"]["hosts"][NAME]
    twins = {"all": {"hosts": {NAME: facts, "twin": facts}}}
    fleet.inventory.write_text(json.dumps(twins), encoding="utf-8")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        fleet.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    assert f"twin: its series would be called `{NAME}`, as those of {NAME} are" in said
    assert "Set prometheus_instance to a name of its own" in said


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"hypertool_destination": "mars"}, "mars"),
        ({"hypertool_destination": "grafana_cloud", "grafana_cloud_token": ""}, "token"),
        ({"hypertool_collector": "alloy"}, "Alloy cannot be had"),
        ({"hypertool_personas": {"backend-engineer": {}}}, "needs tokens"),
        ({"prometheus_retention_time": "a while"}, "a while"),
        ({"alertmanager_config_file": "/does/not/exist.yml"}, "/does/not/exist.yml"),
        ({"alertmanager_config_file": str(SLACK)}, "secrets/slack_api_url, which is not there"),
    ],
)
def test_a_wrong_variable_is_refused(
    fleet: Fleet, untouched: None, variables: dict[str, object], expected: str
) -> None:
    assert expected in refused(fleet.play("site.yml", "--extra-vars", json.dumps(variables)))


def test_a_user_who_does_not_exist_is_named(fleet: Fleet, untouched: None) -> None:
    said = refused(fleet.play("site.yml", "--extra-vars", json.dumps({"hypertool_agent_users": ["nobody-knows-me"]})))
    assert "'nobody-knows-me' does not exist" in said


def test_play_without_a_network_says_so(fleet: Fleet, host: Host) -> None:
    """The connection is lost and no package is in the cache; the last test here shows that a later play completes."""
    route = host.check_output("ip route show default")
    host.check_output("apt-get clean")
    host.check_output("ip route delete default")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output(f"ip route add {route}")
    assert re.search(r"(network|resolve|reach|mirror|package source)", said, re.IGNORECASE), said[-1500:]


def begun(fleet: Fleet, task: str) -> subprocess.Popen[str]:
    """A play that has come to a task, in a session of its own."""
    process = subprocess.Popen(
        fleet.command("site.yml"),
        cwd=fleet.tree,
        env={**fleet.environment(), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(f"TASK [{task}]"):
            return process
    process.wait()
    raise AssertionError(f"the play ended before it came to `{task}`:\n{''.join(said[-30:])}")


def killed(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("task", ["hypertool : Install the package", "prometheus : Install the packages"])
def test_a_play_that_is_killed_in_the_middle(fleet: Fleet, task: str) -> None:
    """Without warning, twice, at different tasks; the last test here shows that a next play completes."""
    killed(begun(fleet, task))


def test_a_second_play_at_once_is_refused(fleet: Fleet) -> None:
    """While one play works on a host another one says whose it is, and the one after a killed one goes on."""
    first = begun(fleet, "hypertool : Install the package")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        killed(first)
    assert f"another play works on this host: process {first.pid} of" in said
    assert "Nothing was changed" in said
    fleet.play("uninstall.yml").succeeded()


def test_after_all_that_one_play_completes(fleet: Fleet, host: Host) -> None:
    done = fleet.play("site.yml").succeeded()
    assert done.recap[NAME]["failed"] == 0
    assert host.check_output("systemctl is-active hypertool-exporter prometheus").split() == ["active"] * 2
    assert "hypertool_build_info" in ask(host, "http://127.0.0.1:9464/metrics")
    assert fleet.play("site.yml").succeeded().changed(NAME) == []


def test_alerts_arrive_when_the_endpoint_is_broken(fleet: Fleet, host: Host) -> None:
    """The environment of the endpoint is gone, as after an upgrade of Python: alerts are still written down."""
    library = "$(readlink -f /opt/hypertool/venv)/lib"
    host.check_output(f"mv {library} {library}.away")
    try:
        host.run("systemctl restart hypertool-exporter")
        host.check_output("systemctl restart hypertool-alert-log")
        until("the endpoint to fail", 30, lambda: host.run("systemctl is-active hypertool-exporter").rc or None)
        until(
            "the alert log to answer", 30, lambda: host.run("systemctl is-active hypertool-alert-log").rc == 0 or None
        )
        assert ask(host, "http://127.0.0.1:9465/healthz") == "ok\n"
    finally:
        host.check_output(f"mv {library}.away {library}")
        host.check_output("systemctl reset-failed; systemctl restart hypertool-exporter")


def test_budgets_of_the_inventory_go_with_it(fleet: Fleet, host: Host) -> None:
    """Personas that are taken out of the inventory leave the host too, and its file is the people's again."""
    personas = json.dumps({"hypertool_personas": {"backend-engineer": {"tokens": 77}}})
    fleet.play("site.yml", "--tags", "hypertool", "-e", personas).succeeded()
    assert "tokens = 77" in host.file("/etc/hypertool/hypertool.toml").content_string
    fleet.play("site.yml", "--tags", "hypertool").succeeded()
    assert "77" not in host.file("/etc/hypertool/hypertool.toml").content_string


def test_own_files_outlive_plays_and_uninstalling(fleet: Fleet, host: Host) -> None:
    """Rules and targets in conf.d are read, no play touches them, and the uninstallation names and leaves them."""
    own = "/etc/hypertool/prometheus/conf.d"
    rule = '{"groups": [{"name": "own", "rules": [{"record": "own:one", "expr": "vector(1)"}]}]}'
    target = '[{"targets": ["127.0.0.1:9464"], "labels": {"job": "mine"}}]'
    host.check_output(f"printf %%s %s > {own}/rules/own.yml", rule)
    host.check_output(f"printf %%s %s > {own}/targets/own.yml", target)
    assert fleet.play("site.yml", "--tags", "prometheus").succeeded().changed(NAME) == []
    host.check_output("systemctl reload prometheus")
    until("its own rule", 30, lambda: value(host, "own:one"))
    until("its own target", 60, lambda: value(host, 'up{job="mine"} == 1'))

    said = " ".join(fleet.play("uninstall.yml", "-e", "hypertool_purge_data=true").succeeded().output.split())
    assert f"{own}/rules/own.yml" in said
    assert host.file(f"{own}/rules/own.yml").content_string == rule
    assert host.file(f"{own}/targets/own.yml").content_string == target
    assert host.check_output("find /etc/hypertool -type f | sort").split() == [
        f"{own}/rules/own.yml",
        f"{own}/targets/own.yml",
    ]
    host.check_output("rm -r /etc/hypertool")


def test_uninstalling_leaves_a_foreign_service_alone(fleet: Fleet, host: Host) -> None:
    """Where we are not installed, another Prometheus goes on running while the uninstallation looks."""
    host.check_output("printf '[Service]\\nExecStart=/bin/sleep 600\\n' > /etc/systemd/system/prometheus.service")
    host.check_output("systemctl daemon-reload; systemctl start prometheus")
    before = host.check_output("systemctl show prometheus -P MainPID -P InvocationID")
    fleet.play("uninstall.yml").succeeded()
    assert host.check_output("systemctl show prometheus -P MainPID -P InvocationID") == before
    host.check_output("systemctl stop prometheus; rm /etc/systemd/system/prometheus.service; systemctl daemon-reload")
