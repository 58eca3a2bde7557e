"""A member of the group hypertool never becomes root: it writes in two folders, and no play follows what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.hosts.conftest import AGENT
from tests.hosts.traps import CANARY, STORE, WRITABLE, as_member, canary
from tests.support.fleet import Fleet, Play, differences, on_all

pytestmark = pytest.mark.host

#: What belongs to everybody on any host; nothing of ours is there.
EVERYBODYS = ("/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run/lock", "/run/user", f"/home/{AGENT}")
#: Where only root and packages write.
SYSTEM = ("/etc", "/opt", "/usr", "/var/lib")
STORE_ONLY = """\
- hosts: all
  gather_facts: true
  gather_subset: ["!all", "!min", distribution, platform, python]
  tasks:
    - ansible.builtin.include_role: {name: hypertool, tasks_from: store.yml}
"""


def writable_for_a_member(host: Host) -> set[str]:
    pruned = " -o ".join(f"-path {path}" for path in EVERYBODYS)
    wanted = f"-not -type l -not -user {AGENT} -writable"
    return set(as_member(host, AGENT, f"find / \\( {pruned} \\) -prune -o {wanted} -print 2>/dev/null").split())


def touched(before: dict[str, object], after: dict[str, object]) -> set[str]:
    """Every path on a host that the installation created or changed, and the folders above."""
    paths = set()
    for line in differences(before, after):
        words = line.split()
        for path in [word for word in words if word.startswith("/")][:1]:
            parts = path.rstrip("/").split("/")
            paths |= {"/".join(parts[:count]) for count in range(2, len(parts) + 1)}
    return paths


@pytest.mark.shared_host("S1", "S9")
def test_member_writes_only_to_two_of_our_folders(
    fleet: Fleet, fresh: dict[str, dict[str, object]], installed: Play
) -> None:
    """Derived from what the installation changed on the host, and from what the kernel lets the member write."""
    after = fleet.snapshots()
    for name, host in fleet.hosts.items():
        paths = touched(fresh[name], after[name])
        assert {STORE, "/etc/hypertool", "/opt/hypertool"} <= paths, "the snapshots have to show the installation"
        ours = {path for path in writable_for_a_member(host) if path in paths or path.startswith(SYSTEM)}
        # And an empty file whose lock says who may reserve of a budget of the host.
        assert ours == {*WRITABLE, f"{STORE}/requests/reservations.lock"}, name


@pytest.mark.shared_host("S1", "S2")
def test_play_changes_nothing_behind_a_members_traps(fleet: Fleet, trapped: dict[str, str]) -> None:
    """A play that meets a member's traps changes nothing behind them."""
    play = fleet.play("site.yml", "--tags", "hypertool").succeeded()
    assert {name: play.changed(name) for name in fleet.hosts} == {name: [] for name in fleet.hosts}
    assert on_all(fleet.hosts, canary) == trapped


@pytest.fixture(scope="module")
def old_store(fleet: Fleet, trapped: dict[str, str]) -> Iterator[tuple[str, Host]]:
    """The store of the first host as members could write it once: 2770, with the registers in the folder itself."""
    name, host = next(iter(fleet.hosts.items()))
    (fleet.tree / "ansible/store_only.yml").write_text(STORE_ONLY, encoding="utf-8")
    host.check_output("systemctl stop hypertool-exporter hypertool-alert-log")
    host.check_output(f"cp -a {STORE} /root/store && cp {STORE}/shared/archive.json {STORE}/archive.json")
    host.check_output(f"chown hypertool: {STORE}/archive.json && chmod 660 {STORE}/archive.json && chmod 2770 {STORE}")
    yield name, host
    host.check_output(f"rm -rf {STORE} && mv /root/store {STORE}")
    host.check_output("systemctl start hypertool-exporter hypertool-alert-log")


#: In the place of a folder or of a register, by a member who may write the old store.
PLACED = {
    "live is a link": ("live", f"ln -s {CANARY} live"),
    "live is a link to cron": ("live", "ln -s /etc/cron.d live"),
    "live is a FIFO": ("live", "mkfifo live"),
    "shared is a link": ("shared", f"ln -s {CANARY} shared"),
    "service is a file": ("service", "touch service"),
    "the archive is a link": ("archive.json", "ln -s /etc/shadow archive.json"),
    "the archive is a folder": ("archive.json", "mkdir archive.json"),
}


@pytest.mark.parametrize(("entry", "code"), PLACED.values(), ids=PLACED.keys())
@pytest.mark.shared_host("S1")
def test_an_upgrade_names_what_a_member_placed(
    fleet: Fleet, old_store: tuple[str, Host], trapped: dict[str, str], entry: str, code: str
) -> None:
    name, host = old_store
    host.check_output(f"chmod 2770 {STORE}")
    as_member(host, AGENT, f"cd {STORE} && mv {entry} aside && {code}")
    assert host.check_output(f"stat -c %U {STORE}/{entry}") == AGENT, "the member has to have placed it"
    play = fleet.play("store_only.yml", "--limit", name)
    assert play.code != 0, play.output
    assert f"{STORE}/{entry}" in play.output.replace("\n", "")
    assert canary(host) == trapped[name]
    host.check_output(f"cd {STORE} && rm -rf {entry} && mv aside {entry}")


def test_upgrade_keeps_every_number(fleet: Fleet, old_store: tuple[str, Host]) -> None:
    """After the traps are gone: owners and modes of today, the archive unchanged but closed to who held it open."""
    name, host = old_store
    host.check_output(f"touch {STORE}/fold.lock && chmod 660 {STORE}/fold.lock")
    host.check_output(f"chmod 2770 {STORE}; chmod 660 {STORE}/archive.json; chown hypertool: {STORE}/archive.json")
    before = host.check_output(f"sha256sum {STORE}/archive.json")
    play = fleet.play("store_only.yml", "--limit", name).succeeded()
    assert "Every number is kept" in play.output
    assert f"changed {STORE} from" in play.output.replace("\n", "")
    assert host.check_output(f"sha256sum {STORE}/archive.json") == before
    assert host.check_output(f"find {STORE} -maxdepth 1 -name '*.lock'") == "", "nobody locks these any more"
    assert (
        host.check_output(f"stat -c '%a %U:%G' {STORE}/archive.json {STORE}")
        == "640 root:hypertool\n2750 root:hypertool"
    )
