"""The hosts that are tested: those named by --hosts, else two fresh ones, installed once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from tests.hosts.traps import set_traps
from tests.support.box import obstacle
from tests.support.fleet import Fleet, Play, fresh_fleet, on_all

RELEASES = ("bookworm", "trixie")
#: A user who runs agents, one who may not, and a secret that may be read in one place only.
AGENT, STRANGER = "alice", "mallory"
SECRET = "drill-secret-6d1f7c02"
VARIABLES = {
    "hypertool_agent_users": [AGENT],
    "hypertool_agent_hooks": ["claude-code", "cline", "gemini-cli"],
    "alertmanager_secrets": {"drill_token": SECRET},
}
#: Settings of the agent's user from before us, and a folder of root's that this user's link names as one of an agent.
SETTINGS, FOREIGN = '{\n  // mine\n  "theme": "dark"\n}\n', "/etc/cron.d"
DIRECTORY = Path("/var/lib/hypertool-sandbox-hosts")


def named_hosts(config: pytest.Config) -> dict[str, Host]:
    """The hosts of --hosts, by address."""
    addresses = [address for address in (config.getoption("--hosts") or "").split(",") if address]
    options = {
        "ssh_config": config.getoption("--ssh-config"),
        "ssh_identity_file": config.getoption("--ssh-identity-file"),
        "sudo": config.getoption("--sudo"),
        "sudo_user": config.getoption("--sudo-user"),
        "ansible_inventory": config.getoption("--ansible-inventory"),
    }
    return {address: testinfra.get_host(address, **options) for address in addresses}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", list(named_hosts(metafunc.config)) or list(RELEASES))


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Two hosts that have nothing of ours; only without --hosts."""
    if request.config.getoption("--hosts"):
        pytest.skip("this changes the host; it runs only on fresh ones, without --hosts")
    if obstacle():
        pytest.skip(f"{obstacle()}; or name an installed host with --hosts")
    with fresh_fleet(DIRECTORY, RELEASES, VARIABLES, prepare) as made:
        yield made


def prepare(host: Host) -> None:
    # The users are there before us, and the runbook's commands need curl.
    for user in (AGENT, STRANGER):
        host.check_output(f"useradd --create-home --shell /bin/bash {user}")
    claude = f"/home/{AGENT}/.claude"
    host.check_output(f"install -d -o {AGENT} -g {AGENT} {claude}; ln -s {FOREIGN} /home/{AGENT}/.gemini")
    host.check_output(f"printf %s '{SETTINGS}' > {claude}/settings.json; chown {AGENT}: {claude}/settings.json")
    host.check_output("apt-get update -q")
    host.check_output("apt-get install -qy --no-install-recommends curl")


@pytest.fixture(scope="session")
def fresh(fleet: Fleet) -> dict[str, dict[str, object]]:
    """What was on the hosts before us."""
    return fleet.snapshots()


@pytest.fixture(scope="session")
def rehearsal(fleet: Fleet, fresh: dict[str, object]) -> Play:
    """Check mode on hosts that have nothing yet."""
    return fleet.play("site.yml", "--check", "--diff")


@pytest.fixture(scope="session")
def installed(fleet: Fleet, rehearsal: Play) -> Play:
    """The one installation that all tests look at."""
    done = fleet.play("site.yml", "--diff")
    print(f"\ninstalled {len(fleet.hosts)} hosts in {done.seconds:.0f} s")
    return done.succeeded()


@pytest.fixture(scope="session")
def hosts(request: pytest.FixtureRequest) -> dict[str, Host]:
    """Every installed host, by name."""
    named = named_hosts(request.config)
    if named:
        return named
    request.getfixturevalue("installed")
    fleet: Fleet = request.getfixturevalue("fleet")
    return fleet.hosts


@pytest.fixture(scope="session")
def trapped(fleet: Fleet, installed: Play) -> dict[str, str]:
    """What must not change on each host, after a member set its traps; they stay for the uninstallation."""
    return on_all(fleet.hosts, lambda host: set_traps(host, AGENT))


@pytest.fixture
def host(hosts: dict[str, Host], name: str) -> Host:
    """One installed host; tests that ask for it run for each."""
    return hosts[name]
