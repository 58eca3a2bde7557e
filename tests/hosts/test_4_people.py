"""People on one host: several Unix users write one store, one outside the group gets a message, the runbook works."""

from __future__ import annotations

import re
import shlex

import pytest
from testinfra.host import Host

from tests.hosts.conftest import AGENT, FOREIGN, STRANGER
from tests.rules.runbook_blocks import pasteable
from tests.support.box import until
from tests.support.fleet import Fleet, Play, ask, on_all
from tests.support.pasting import pasted

pytestmark = pytest.mark.host

TOKENS = 'hypertool_persona_tokens_used_total{.*persona="backend-engineer"'


def exposed(host: Host, pattern: str) -> float:
    """Sum of the samples at the endpoint whose line starts with a pattern."""
    lines = ask(host, "http://127.0.0.1:9464/metrics").splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(pattern, line))


def test_the_play_put_the_agent_into_the_group(fleet: Fleet, host: Host) -> None:
    assert "hypertool" in host.user(AGENT).groups
    assert "hypertool" not in host.user(STRANGER).groups


def test_several_users_count_into_one_store(fleet: Fleet, host: Host) -> None:
    before = exposed(host, TOKENS)
    both = f"runuser -l {AGENT} -c 'umask 077; hypertool baseline' & hypertool baseline & wait"
    host.check_output(f"bash -c {shlex.quote(both)}")
    until("both runs to be exposed", 30, lambda: exposed(host, TOKENS) == before + 2 * 850 or None)
    assert host.check_output("find /var/lib/hypertool -perm /0007 -not -type l") == ""
    # Whatever a user's umask is, the service reads what it wrote.
    assert host.check_output("find /var/lib/hypertool -not -group hypertool -o -type f -not -perm -0600") == ""
    assert host.check_output("find /var/lib/hypertool/live -type f -not -perm -0640") == ""


def test_service_tells_members_apart(host: Host) -> None:
    """Limits and requests go by the owners of files: the service must not run where all owners look the same."""
    pid = host.check_output("systemctl show -P MainPID hypertool-exporter")
    mapped = [int(line.split()[2]) for line in host.check_output(f"cat /proc/{pid}/uid_map").splitlines()]
    assert sum(mapped) >= 2**32 - 1


def test_user_who_may_not_write_is_told(fleet: Fleet, host: Host) -> None:
    """A user who may not write to the store is told so, and can go on."""
    before = exposed(host, TOKENS)
    assert before > 0
    done = host.run(f"runuser -l {STRANGER} -c 'hypertool baseline'")
    assert done.rc == 0, done.stderr
    assert "/var/lib/hypertool" in done.stdout + done.stderr, "it has to say which store it could not use"
    assert "Traceback" not in done.stderr
    assert exposed(host, TOKENS) == before


def test_agents_hooks_are_the_users_own(fleet: Fleet, installed: Play, host: Host, name: str) -> None:
    """The play hooked the agents of a list as their user: in that user's files, with nothing written through a link."""
    hooks = f"/home/{AGENT}/.claude/settings.json", f"/home/{AGENT}/.cline/hooks/PreToolUse"
    for path in hooks:
        assert host.file(path).user == AGENT
        assert "/usr/local/bin/hypertool hook c" in host.file(path).content_string
    assert "// mine" in host.file(hooks[0]).content_string
    host.check_output(f"runuser -l {AGENT} -c 'echo {{}} | {hooks[1]}'")
    assert host.check_output(f"ls -a {FOREIGN} | grep -c settings || true") == "0"
    assert f"{AGENT}: gemini-cli: /home/{AGENT}/.gemini/settings.json cannot be written" in " ".join(
        installed.output.split()
    )


def test_a_stranger_reads_nothing_of_the_store(fleet: Fleet, host: Host) -> None:
    assert host.run(f"runuser -u {STRANGER} -- ls /var/lib/hypertool").rc != 0


#: A user takes the ports of an address of this host; prints the ports on which root then gets through.
TAKE = """
import os, pwd, select, socket, sys
user, address, seconds = pwd.getpwnam(sys.argv[1]).pw_uid, sys.argv[2], float(sys.argv[3])
ports = [int(port) for port in sys.argv[4:]]
readable, writable = os.pipe()
taker = os.fork()
if taker == 0:
    os.setuid(user)
    held = [socket.create_server((address, port)) for port in ports]
    os.write(writable, b"ready")
    select.select([], [], [])
os.close(writable)
assert os.read(readable, 5) == b"ready"
calls, answered = {}, []
for port in ports:
    call = socket.socket()
    call.setblocking(False)
    call.connect_ex((address, port))
    calls[call] = port
while calls and (found := select.select([], list(calls), [], seconds)[1]):
    answered += [calls.pop(call) for call in found if call.getpeername()]
os.kill(taker, 9)
print(*sorted(answered))
"""
PORTS, OTHER = (9090, 9093, 9100, 9464, 9465), 8999


def test_nobody_answers_on_a_services_port(fleet: Fleet, host: Host) -> None:
    """Who takes the port of a service that is down gets no connection, so no password; without our rules they do."""

    def answered(who: str, seconds: int = 1, address: str = "127.0.0.9") -> list[int]:
        ports = " ".join(map(str, (OTHER, *PORTS)))
        said = host.check_output(f"python3 -c %s {who} {address} {seconds} {ports}", TAKE)
        return [int(port) for port in said.split()]

    assert answered(STRANGER) == [OTHER]
    assert answered("prometheus", 20) == [OTHER, *PORTS]
    # What a person serves to others is none of ours.
    assert answered(STRANGER, 20, host.check_output("hostname -I").split()[0]) == [OTHER, *PORTS]
    host.check_output("nft delete table inet hypertool_ports")
    assert answered(STRANGER, 20) == [OTHER, *PORTS]
    host.check_output("systemctl reload hypertool-ports")
    assert answered(STRANGER) == [OTHER]


@pytest.fixture(scope="module")
def diary(fleet: Fleet, hosts: dict[str, Host]) -> dict[str, list[str]]:
    """The runbook's bash blocks for such a host, pasted in their order into a root shell of each; what failed."""
    return on_all(hosts, lambda host: pasted(host, pasteable()))


def test_runbook_commands_work_when_pasted(diary: dict[str, list[str]], name: str) -> None:
    """Every command of the runbook works when it is pasted into a shell."""
    assert not diary[name], "\n\n".join(diary[name])
