"""Fresh hosts of each supported release, the playbooks over SSH on all of them at once, and what they answer."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import testinfra
from testinfra.host import Host

from tests.dashboards.panels import http_fetch
from tests.support.box import Box, free_port, make_box

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("snapshot.py")
T = TypeVar("T")
H = TypeVar("H")
#: Where the Prometheus of a sandbox host is published on this machine; other hosts are asked over SSH.
PUBLISHED: dict[Host, str] = {}

# Runs on the host, because what it asks listens on the host's own loopback.
ASK = """
import base64, pathlib, re, sys, urllib.error, urllib.request
data = sys.argv[2].encode() if len(sys.argv) > 2 else None
password, headers = pathlib.Path("/etc/hypertool/secrets/web_password"), {}
if re.match("http://(127.0.0.1|localhost):(909[03]|12345)/", sys.argv[1]) and password.exists():
    named = "hypertool:" + password.read_text().strip()
    headers["Authorization"] = "Basic " + base64.b64encode(named.encode()).decode()
try:
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=data, headers=headers), timeout=20) as answer:
        print(answer.status); print(answer.read().decode(), end="")
except urllib.error.HTTPError as refused:
    print(refused.code); print(refused.read().decode(), end="")
"""


def ask(host: Host, url: str) -> str:
    """The body of an HTTP answer, asked for on the host; an error status or no answer is a failure."""
    done = host.run("python3 -c %s %s", ASK, url)
    assert done.rc == 0, f"{url} does not answer on the host: {done.stderr.splitlines()[-1:]}"
    status, _, body = done.stdout.partition("\n")
    assert status == "200", f"{url}: {status} {body}"
    return body


def modes(host: Host, paths: Iterable[str]) -> dict[str, str]:
    """Mode, user and group of each path, as in `640 root:alloy`."""
    shown = host.check_output(f"stat -c '%n=%a %U:%G' {' '.join(paths)}")
    return dict(line.split("=") for line in shown.splitlines())


def clock_service_said(host: Host, service: str, unit: str) -> str:
    """What our service for a changed clock says; its timer waits, and the unit's process stays as it is."""
    assert (
        host.check_output(f"systemctl show --value -p ActiveState,UnitFileState {service}.timer") == "active\nenabled"
    )
    process = host.check_output(f"systemctl show --value -p MainPID {unit}")
    host.check_output(f"systemctl start {service}.service")
    said = str(host.check_output(f"journalctl --unit={service}.service --lines=20 --output=cat"))
    assert host.check_output(f"systemctl show --value -p MainPID {unit}") == process
    return said


def authorization(host: Host) -> str:
    """The header that Prometheus, Alertmanager and Alloy of the host ask for; empty before it is installed."""
    file = host.file("/etc/hypertool/secrets/web_password")
    if not file.exists:
        return ""
    return "Basic " + base64.b64encode(f"hypertool:{file.content_string.strip()}".encode()).decode()


def prometheus(host: Host) -> Callable[[str, Mapping[str, str]], dict[str, Any]]:
    """`fetch(path, parameters)` as tests/dashboards/panels.py wants it, against the host's Prometheus."""
    if host in PUBLISHED:
        return http_fetch(PUBLISHED[host], authorization=authorization(host))

    def fetch(path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        done = host.run("python3 -c %s %s", ASK, f"http://127.0.0.1:9090{path}?{urlencode(parameters)}")
        assert done.rc == 0, f"Prometheus does not answer: {done.stderr.splitlines()[-1:]}"
        answer: dict[str, Any] = json.loads(done.stdout.partition("\n")[2])
        return answer

    return fetch


def value(host: Host, expression: str) -> float | None:
    """The single value of a PromQL expression now, or None where it has none."""
    answer = prometheus(host)("/api/v1/query", {"query": expression})
    assert answer["status"] == "success", answer
    result = answer["data"]["result"]
    assert len(result) < 2, f"{expression} has {len(result)} values"
    return float(result[0]["value"][1]) if result else None


def on_all(hosts: Mapping[str, H], work: Callable[[H], T]) -> dict[str, T]:
    """Do the same on every host at once."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return dict(zip(hosts, pool.map(work, hosts.values()), strict=True))


@dataclass
class Play:
    """What an ansible-playbook run said."""

    command: list[str]
    output: str
    code: int
    seconds: float
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.output.partition("PLAY RECAP")[2].splitlines():
            if match := re.match(r"(\S+)\s+: (.*)", line):
                self.recap[match[1]] = {k: int(n) for k, n in re.findall(r"(\w+)=(\d+)", match[2])}

    def succeeded(self) -> Play:
        assert self.code == 0, f"{shlex.join(self.command)} ended with {self.code}:\n{self.output[-6000:]}"
        return self

    def changed(self, host: str) -> list[str]:
        """Names of the tasks that changed something on a host."""
        found, task = [], ""
        for line in self.output.splitlines():
            if match := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*?)\]", line):
                task = match[1]
            elif line.startswith(f"changed: [{host}"):
                found.append(task)
        return found


@dataclass
class Fleet:
    """Sandbox hosts by name, reached by SSH as any host."""

    box: Box
    directory: Path
    #: Debian release by name of the host.
    releases: Mapping[str, str]
    variables: dict[str, Any] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)

    def up(self) -> None:
        # A copy, because a checkout that changes between two plays would look like a play that repeats itself.
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules"))
        self.published = {name: free_port() for name in self.releases}

        def start(name: str) -> None:
            self.box.run("up", name, "--release", self.releases[name], "--publish", f"{self.published[name]}:9090")

        with ThreadPoolExecutor(len(self.releases)) as pool:
            list(pool.map(start, self.releases))
        inventory = json.loads(self.box.run("inventory", *self.releases).stdout)
        inventory["all"]["vars"] = self.variables
        self.inventory.write_text(json.dumps(inventory), encoding="utf-8")
        blocks = []
        for name, facts in inventory["all"]["hosts"].items():
            options = shlex.split(facts["ansible_ssh_common_args"])
            lines = [option.removeprefix("-o").replace("=", " ", 1) for option in options]
            lines += [f"IdentityFile {facts['ansible_ssh_private_key_file']}", "User root"]
            blocks.append("\n  ".join([f"Host {name}", *lines]))
        (self.directory / "ssh_config").write_text("\n".join(blocks) + "\n", encoding="utf-8")
        for name in self.releases:
            backend = f"ssh://{name}?ssh_config={self.directory}/ssh_config&controlpersist=120"
            self.hosts[name] = testinfra.get_host(backend)
            PUBLISHED[self.hosts[name]] = f"http://127.0.0.1:{self.published[name]}"

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.json"

    def command(self, book: str, *arguments: str) -> list[str]:
        program = Path(sys.executable).with_name("ansible-playbook")
        return [str(program), "-i", str(self.inventory), str(self.tree / "ansible" / book), *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "LC_ALL": "C.UTF-8"}

    def play(self, book: str, *arguments: str) -> Play:
        command = self.command(book, *arguments)
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.tree,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        return Play(command, done.stdout, done.returncode, time.monotonic() - began)

    def snapshots(self) -> dict[str, dict[str, Any]]:
        """What is on each host, see snapshot.py."""
        script = SNAPSHOT.read_text(encoding="utf-8")

        def take(host: Host) -> dict[str, Any]:
            shown: dict[str, Any] = json.loads(host.check_output("python3 -c %s", script))
            return shown

        return on_all(self.hosts, take)


@contextmanager
def fresh_fleet(
    directory: Path,
    releases: Iterable[str],
    variables: dict[str, Any] | None = None,
    prepare: Callable[[Host], object] | None = None,
) -> Iterator[Fleet]:
    """Hosts that have nothing of ours, prepared and removed again; `HYPERTOOL_KEEP_HOSTS=1` leaves them for a look.

    `releases` is a mapping from the host's name to its Debian release, or releases whose hosts are called like them.
    """
    box = make_box(directory)
    box.run("down", "--all")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    by_name = releases if isinstance(releases, Mapping) else {name: name for name in releases}
    made = Fleet(box, directory, by_name, variables or {})
    try:
        made.up()
        if prepare is not None:
            on_all(made.hosts, prepare)
        yield made
    finally:
        if not os.environ.get("HYPERTOOL_KEEP_HOSTS"):
            box.run("down", "--all")
            shutil.rmtree(directory)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What a host has more (+) or less (-) than before, one line each."""
    found: list[str] = []
    for part, old in before.items():
        new = after[part]
        if isinstance(old, dict):
            old, new = ([f"{key}  {value}" for key, value in both.items()] for both in (old, new))
        found += sorted(f"- {part}: {line}" for line in set(old) - set(new))
        found += sorted(f"+ {part}: {line}" for line in set(new) - set(old))
    return found
