"""One Debian 12 host whose package manager is busy at first, and that is installed once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.support.box import obstacle
from tests.support.fleet import Fleet, Play, fresh_fleet

NAME = "aging"
DIRECTORY = Path("/var/lib/hypertool-sandbox-changed")
#: Users who run agents: one stays, one is deleted while we are installed.
STAYS, LEAVES = "alice", "bob"
#: Holds dpkg's lock as another apt does, until others have tried three times to take it; a file says so.
HOLDER = """
import fcntl, pathlib, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
pathlib.Path("/root/lock-is-held").touch()
end, seen = time.monotonic() + 150, set()
while time.monotonic() < end and len(seen) < 3:
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            named = (process / "cmdline").read_bytes().split(b"\\0")[0].rpartition(b"/")[2]
        except OSError:
            continue
        if named in (b"dpkg", b"apt-get"):
            seen.add(process.name)
    time.sleep(0.02)
pathlib.Path("/root/lock-was-wanted").write_text(str(len(seen)))
"""


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if obstacle():
        pytest.skip(obstacle())
    variables = {
        "hypertool_agent_users": [STAYS, LEAVES],
        "hypertool_agent_hooks": ["codex"],
        "hypertool_collector": "prometheus",
    }
    with fresh_fleet(DIRECTORY, {NAME: "bookworm"}, variables) as made:
        yield made


@pytest.fixture(scope="session")
def host(fleet: Fleet) -> Host:
    return fleet.hosts[NAME]


@pytest.fixture(scope="session")
def installed(fleet: Fleet, host: Host) -> Play:
    """The installation, while another program holds dpkg's lock at first."""
    for user in (STAYS, LEAVES):
        host.check_output(f"useradd --create-home --shell /bin/bash {user}")
    host.check_output("apt-get update -q")
    host.check_output("systemd-run --unit=other-apt python3 -c %s", HOLDER)
    return fleet.play("site.yml").succeeded()
