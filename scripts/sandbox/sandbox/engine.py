"""The Docker Engine: the machine's own, or our own dockerd, which can be removed again."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import network, packages, traces
from .progress import SandboxError, Step, say, undo_on_error, wait_for
from .state import (
    LABEL,
    alive,
    delete_tree,
    docker_dir,
    identity,
    load,
    locked,
    make_private_dir,
    run_dir,
    save,
    state_dir,
)


@dataclass(frozen=True)
class Engine:
    """A reachable engine; `command` is the beginning of every client call."""

    command: tuple[str, ...]
    own: bool

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run one client command and return its output; a failure is a SandboxError."""
        try:
            done = subprocess.run(
                [*self.command, *arguments], input=stdin, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise SandboxError(f"`docker {' '.join(arguments)}` gave no answer in {seconds:.0f} s") from error
        if done.returncode:
            raise SandboxError(f"`docker {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def containers(self) -> list[str]:
        """Names of the containers of this set of hosts, running or not."""
        ours = f"label={LABEL}={state_dir()}"
        return self.run("ps", "--all", "--filter", ours, "--format", "{{.Names}}").split()


def _log_path() -> Path:
    return state_dir() / "dockerd.log"


def _socket() -> str:
    return f"unix://{run_dir()}/docker.sock"


def _answers(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            [*command, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def find() -> Engine | None:
    """The engine in use, without starting one."""
    client = shutil.which("docker")
    if client is None:
        return None
    own = [client, "--host", _socket()]
    record = load(traces.record_path())
    if record and alive(record["pid"], record["identity"]) and _answers(own):
        return Engine(tuple(own), own=True)
    if os.environ.get("HYPERTOOL_SANDBOX_ENGINE") != "own" and _answers([client]):
        _refuse_remote(client)
        return Engine((client,), own=False)
    return None


def _refuse_remote(client: str) -> None:
    shown = subprocess.run(
        [client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True,
        text=True,
    )
    address = os.environ.get("DOCKER_HOST") or shown.stdout.strip()
    if address and not address.startswith("unix://"):
        raise SandboxError(
            f"the Docker Engine at {address} is not on this machine, but the hosts must be; "
            "unset DOCKER_HOST or choose another `docker context`, or set HYPERTOOL_SANDBOX_ENGINE=own"
        )


def ensure() -> Engine:
    """Find an engine, or install and start one of our own."""
    if platform.system() != "Linux":
        raise SandboxError(f"the sandbox needs Linux, this is {platform.system()}")
    with locked(state_dir() / "engine.lock", "the Docker Engine"):
        engine = find()
        return engine if engine else _start_own()


def _start_own() -> Engine:
    if os.geteuid() != 0:
        raise SandboxError(
            "no Docker Engine answers, and starting one needs root: run this as root, "
            "or start Docker and join its group"
        )
    record = load(traces.record_path())
    installed = list(record.get("installed", []))
    if not (shutil.which("dockerd") and shutil.which("docker")):
        with Step("No Docker Engine here: installing docker.io from the distribution") as step:
            wanted = ["docker.io"] + ([] if shutil.which("docker") else ["docker-cli?"])
            installed += packages.install(wanted, step)
        # If systemd is PID 1, the package has started its own service by now.
        found = find()
        if found:
            save(traces.record_path(), {**record, "pid": 0, "identity": "", "installed": installed})
            return found
    make_private_dir(run_dir())
    before = record.get("strays_before")
    if before is None:
        before = [path for path in traces.STRAYS if Path(path).exists()]
    made = network.raise_bridge()
    if record.get("network"):
        made["forwarding_was"] = record["network"]["forwarding_was"]
    record = {"pid": 0, "identity": "", "installed": installed, "strays_before": before, "network": made}
    save(traces.record_path(), record)
    with undo_on_error(lambda: traces.take_back(record)), Step("Starting a Docker Engine of our own (dockerd)"):
        problem = ""
        for driver in _storage_drivers():
            process = _launch(driver, made["bridge"])
            record.update(pid=process.pid, identity=identity(process.pid) or "")
            save(traces.record_path(), record)
            problem = _await(process)
            if not problem:
                break
            say(f"dockerd does not run with {driver or 'the default'} storage: {problem}")
        if problem:
            raise SandboxError(f"dockerd does not start: {problem}\nits log ends with:\n{_log_tail()}")
        network.remember(made["subnet"])
    found = find()
    if found is None:
        raise SandboxError(f"dockerd runs but does not answer; see {_log_path()}")
    return found


def _storage_drivers() -> Iterator[str | None]:
    """Storage drivers to try in turn until dockerd runs; None leaves the choice to dockerd."""
    # Only a set without data may use vfs: another one would lose its images and hosts.
    has = [path.name for path in (docker_dir() / "image").glob("*")]
    yield None
    if network.forget():
        say("Trying again without Docker's stored networks, which may be damaged")
        yield None
    if not has or "vfs" in has:
        yield "vfs"


def _launch(driver: str | None, bridge: str) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {
        "hosts": [_socket()],
        "data-root": str(docker_dir()),
        "exec-root": str(run_dir() / "exec"),
        "pidfile": str(run_dir() / "docker.pid"),
        "bridge": bridge,
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
        "cgroup-parent": f"/{traces.control_group()}",
        "log-driver": "local",
        "shutdown-timeout": 10,
    }
    if driver:
        options["storage-driver"] = driver
    traces.stop_containerd()
    # Ours is not running (the caller checked); a killed dockerd leaves its pid file.
    (run_dir() / "docker.pid").unlink(missing_ok=True)
    # A separate file, because /etc/docker/daemon.json belongs to this machine's engine.
    configuration = state_dir() / "daemon.json"
    save(configuration, options)
    with open(_log_path(), "ab") as log:
        return subprocess.Popen(
            ["dockerd", "--config-file", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def _await(process: subprocess.Popen[bytes]) -> str:
    """Wait until dockerd answers; returns the error, or an empty text."""
    client = shutil.which("docker") or "docker"

    def check() -> str | None:
        if process.poll() is not None:
            said = [line for line in _log_tail().splitlines() if "fatal" in line or "failed to start" in line]
            return f"it ended with code {process.returncode}: {said[-1] if said else f'see {_log_path()}'}"
        return "" if _answers([client, "--host", _socket()]) else None

    return wait_for("dockerd to answer", 40, check)


def _log_tail(lines: int = 15) -> str:
    try:
        return "\n".join(_log_path().read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


def down(purge: bool = False) -> None:
    """Stop our own engine and remove what was added for it; never touches the machine's engine."""
    with locked(state_dir() / "engine.lock", "the Docker Engine"):
        record = load(traces.record_path())
        if record:
            engine = find()
            if engine and engine.own and engine.containers():
                raise SandboxError(
                    f"hosts still run on our Docker Engine: {', '.join(engine.containers())}; "
                    "take them down first (`down --all` does both)"
                )
            if record["pid"]:
                say("Stopping our Docker Engine")
            traces.take_back(record)
            if record["installed"]:
                say(f"These packages stay installed: {' '.join(record['installed'])} (apt-get purge removes them)")
    if purge:
        delete_tree(state_dir())


def describe(engine: Engine) -> str:
    facts = json.loads(engine.run("info", "--format", "{{json .}}"))
    owner = "our own" if engine.own else "the machine's"
    return (
        f"{owner} Docker Engine {facts['ServerVersion']}, storage {facts['Driver']}, "
        f"control groups v{facts.get('CgroupVersion', '1')}"
    )
