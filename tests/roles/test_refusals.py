"""Bad input and bad luck: a clear reason, a host that is as it was, and a next play that completes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import Fleet, Play, ask, differences

pytestmark = pytest.mark.host

NAME = "bookworm"


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


def test_a_taken_port_names_its_holder(fleet: Fleet, host: Host, untouched: None) -> None:
    listener = 'import socket, time; s = socket.create_server(("127.0.0.1", 9090)); time.sleep(600)'
    host.check_output(f"systemd-run --quiet --collect --unit=squatter python3 -c '{listener}'")
    try:
        until("the port to be taken", 10, lambda: "9090" in host.check_output("ss -Hltn") or None)
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output("systemctl stop squatter")
    assert "9090" in said
    assert "python3" in said
    assert "Nothing was changed" in said


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"hypertool_destination": "mars"}, "mars"),
        ({"hypertool_destination": "grafana_cloud", "grafana_cloud_token": ""}, "token"),
        ({"hypertool_collector": "alloy"}, "Alloy cannot be had"),
        ({"hypertool_personas": {"backend-engineer": {}}}, "needs tokens"),
        ({"prometheus_retention_time": "a while"}, "a while"),
        ({"alertmanager_config_file": "/does/not/exist.yml"}, "/does/not/exist.yml"),
    ],
)
def test_a_wrong_variable_is_refused(
    fleet: Fleet, untouched: None, variables: dict[str, object], expected: str
) -> None:
    assert expected in refused(fleet.play("site.yml", "--extra-vars", json.dumps(variables)))


def test_a_user_who_does_not_exist_is_named(fleet: Fleet) -> None:
    said = refused(fleet.play("site.yml", "--extra-vars", json.dumps({"hypertool_agent_users": ["nobody-knows-me"]})))
    assert "'nobody-knows-me' does not exist" in said


def test_without_a_network_the_play_says_so_and_the_next_one_goes_on(fleet: Fleet, host: Host) -> None:
    """The connection is lost and no package is in the cache; the last test here shows that a later play completes."""
    route = host.check_output("ip route show default")
    host.check_output("apt-get clean")
    host.check_output("ip route delete default")
    try:
        said = refused(fleet.play("site.yml"))
    finally:
        host.check_output(f"ip route add {route}")
    assert re.search(r"(network|resolve|reach|mirror|package source)", said, re.IGNORECASE), said[-1500:]


@pytest.mark.parametrize("task", ["hypertool : Install the package", "prometheus : Install the packages"])
def test_a_play_that_is_killed_in_the_middle(fleet: Fleet, task: str) -> None:
    """Without warning, twice, at different tasks; the last test here shows that a next play completes."""
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
    for line in process.stdout:
        if line.startswith(f"TASK [{task}]"):
            break
    else:
        raise AssertionError(f"the play ended before it came to `{task}`")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_after_all_that_one_play_completes(fleet: Fleet, host: Host) -> None:
    done = fleet.play("site.yml").succeeded()
    assert done.recap[NAME]["failed"] == 0
    assert host.check_output("systemctl is-active hypertool-exporter prometheus").split() == ["active"] * 2
    assert "hypertool_build_info" in ask(host, "http://127.0.0.1:9464/metrics")
    assert fleet.play("site.yml").succeeded().changed(NAME) == []
