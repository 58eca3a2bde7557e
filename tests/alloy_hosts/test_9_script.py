"""The set-up script as a person runs it: on hosts that have nothing again, the destination in the environment."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import REAL, RELEASES, VERSION, main_pids
from tests.support.alloy_program import MISSING
from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.fleet import Fleet, on_all

pytestmark = pytest.mark.host

HOME = "/root/hypertool-observability"
COLLECTORS = [
    "prometheus",
    pytest.param("alloy", marks=pytest.mark.skipif(not REAL, reason=MISSING)),
]


def copied(fleet: Fleet, name: str, source: Path, target: str) -> None:
    command = ["scp", "-qr", "-F", str(fleet.directory / "ssh_config"), str(source), f"{name}:{target}"]
    subprocess.run(command, check=True, timeout=120)


def package_index() -> dict[str, str]:
    """The hosts get packages from where this machine gets them: pip's settings, of its files and the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    return {"PIP_" + name.upper().replace("-", "_"): value for name, value in settings}


@pytest.fixture(scope="module")
def environment(fleet: Fleet, cloud: CloudStandIn, packages: Mapping[str, Path]) -> str:
    """The name of a file on each host that sets what a person would export."""
    values = {
        **cloud.environment(),
        "GRAFANA_CLOUD_TOKEN": cloud.token,
        "GRAFANA_CLOUD_READ_TOKEN": cloud.read_token,
        "GRAFANA_CLOUD_CA_FILE": "/root/cloud-ca.pem",
    }
    values |= package_index()
    certificates = values.get("PIP_CERT")
    if certificates:
        values["PIP_CERT"] = "/root/index-ca.pem"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    written = fleet.directory / "environment"
    written.write_text("\n".join(lines) + "\n", encoding="utf-8")
    written.chmod(0o600)
    for name in RELEASES:
        copied(fleet, name, fleet.tree, HOME)
        copied(fleet, name, written, "/root/environment")
        copied(fleet, name, cloud.ca_file, "/root/cloud-ca.pem")
        if certificates:
            copied(fleet, name, Path(certificates), "/root/index-ca.pem")
        if REAL:
            copied(fleet, name, packages[VERSION], "/root/alloy.deb")
    return "/root/environment"


def script(fleet: Fleet, environment: str, *arguments: str) -> dict[str, str]:
    """What it said on each host; a failure shows its end."""
    command = f". {environment} && {HOME}/scripts/setup-native-observability.sh --yes {shlex.join(arguments)} 2>&1"

    def run(host: Host) -> str:
        done = host.run(command)
        if "reach its Python package index?" in done.stdout:
            pytest.skip(
                "the hosts do not reach this machine's Python package index: name another with "
                f"PIP_INDEX_URL (and PIP_CERT); they said {done.stdout[-1500:]}"
            )
        assert done.rc == 0, done.stdout[-6000:]
        return str(done.stdout)

    return on_all(fleet.hosts, run)


@pytest.fixture(scope="module", params=COLLECTORS)
def scripted(fleet: Fleet, environment: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """The collector, and the arguments with which the script has just installed it."""
    arguments = ["--destination", "grafana_cloud", "--collector", request.param]
    if request.param == "alloy":
        arguments += ["--alloy-package", "/root/alloy.deb"]
    script(fleet, environment, *arguments)
    yield request.param, arguments
    script(fleet, environment, "--uninstall", "--purge-data")


def test_the_script_delivers_from_a_fresh_host(
    fleet: Fleet, cloud: CloudStandIn, scripted: tuple[str, list[str]]
) -> None:
    collector, _ = scripted
    for name in RELEASES:
        for job in ("hypertool", "node", collector):
            up = f'up{{job="{job}",instance="{name}"}} == 1'
            until(f"{job} of {name}", 60, lambda up=up: cloud.query(up) or None)
        # The baseline that the script has run.
        each = f'max by (persona, chatmode, model) (hypertool_persona_tokens_used_total{{instance="{name}"}})'
        spent = f"sum({each}) == 2050"
        until(f"the baseline's tokens of {name}", 90, lambda spent=spent: cloud.query(spent) or None)


def test_a_second_run_changes_and_restarts_nothing(
    fleet: Fleet, environment: str, scripted: tuple[str, list[str]]
) -> None:
    collector, arguments = scripted
    before = main_pids(fleet, collector)
    for name, said in script(fleet, environment, *arguments).items():
        log = re.search(r"\] Log: (\S+)", said)
        assert log, said
        recap = fleet.hosts[name].check_output(f"sed -n '/PLAY RECAP/,/---/p' {log[1]}")
        assert " changed=0 " in recap, recap
    assert main_pids(fleet, collector) == before


def test_screen_logs_and_arguments_hide_the_token(
    fleet: Fleet, cloud: CloudStandIn, scripted: tuple[str, list[str]]
) -> None:
    """No screen, log or argument list has the token; only the service's file and the exported variables have it."""
    command = f"grep -rlF {cloud.token} /root/.cache /etc /var/log /var/lib/hypertool /run /tmp /home 2>/dev/null"
    found = on_all(fleet.hosts, lambda host: set(host.run(command).stdout.split()))
    for name, files in found.items():
        assert len(files) == 1, (name, files)
        assert all("/secrets/" in file for file in files), (name, files)
        assert fleet.hosts[name].file(files.pop()).mode == 0o640
