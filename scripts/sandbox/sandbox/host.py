"""A host: a container in which a real systemd is PID 1, reachable by SSH."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import access, image, ports, state
from .engine import Engine
from .progress import SandboxError, Step, say, undo_on_error, wait_for
from .state import LABEL, alive, identity, load, locked, make_private_dir, run_dir, save, state_dir, stop_process

BOOT_SECONDS = 60
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


def container_of(name: str) -> str:
    if not NAME.fullmatch(name):
        raise SandboxError(f"`{name}` is not a host name; use lower-case letters, digits and inner dashes")
    return f"hypertool-sandbox{state.suffix()}-{name}"


def _record_path(name: str) -> Path:
    return state_dir() / "hosts" / f"{name}.json"


def inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    container = container_of(name)
    try:
        facts = json.loads(engine.run("inspect", "--type", "container", container))[0]
    except SandboxError as error:
        if "no such" in str(error).lower():
            return None
        raise
    if facts["Config"]["Labels"].get(LABEL) != str(state_dir()):
        raise SandboxError(f"the container {container} exists but does not belong to this sandbox; remove or rename it")
    return dict(facts)


def require(engine: Engine, name: str) -> str:
    facts = inspect(engine, name)
    if facts is None or not facts["State"]["Running"]:
        raise SandboxError(f"there is no running host `{name}`; start it: python3 scripts/sandbox up {name}")
    return container_of(name)


def up(engine: Engine, name: str, release: str | None, publish: list[ports.Published] | None) -> None:
    """Start a host; a running one stays as it is, except for its published ports."""
    container = container_of(name)
    if publish and os.geteuid() != 0:
        raise SandboxError("publishing ports enters the host's network, which needs root")
    with locked(state_dir() / "hosts" / f"{name}.lock", f"the host {name}"):
        facts = inspect(engine, name)
        if facts and release and facts["Config"]["Labels"][f"{LABEL}.release"] != release:
            have = facts["Config"]["Labels"][f"{LABEL}.release"]
            raise SandboxError(f"the host `{name}` exists as {have}; remove it first, or choose another name")
        record = load(_record_path(name))
        wanted = [ports.parse([text])[0] for text in record.get("ports", [])] if publish is None else publish
        if _forwarder_serves(record, wanted):
            listeners = []
        else:
            _stop_forwarder(record)
            listeners = ports.bind(wanted)
        with undo_on_error(lambda: None if facts else _remove(engine, name)):
            if facts is None:
                base = image.ensure(engine, release or image.DEFAULT_RELEASE)
                with Step(f"Starting the host {name} (Debian {release or image.DEFAULT_RELEASE})"):
                    _create(engine, name, base, release or image.DEFAULT_RELEASE)
                    _await_boot(engine, container)
            elif not facts["State"]["Running"]:
                with Step(f"Starting the host {name} again"):
                    engine.run("start", container)
                    _await_boot(engine, container)
            access.authorize(engine, container)
            if listeners or not wanted:
                record = {"ports": [str(port) for port in wanted]}
                if wanted:
                    record["forwarder"] = _start_forwarder(engine, name, wanted, listeners)
                save(_record_path(name), record)
    say(f"The host {name} runs" + "".join(f"; 127.0.0.1:{port.here} -> its :{port.there}" for port in wanted))


def _create(engine: Engine, name: str, base: str, release: str) -> None:
    command = ["run", "--detach", "--name", container_of(name), "--hostname", name]
    command += ["--label", f"{LABEL}={state_dir()}", "--label", f"{LABEL}.release={release}"]
    # As on a machine: systemd mounts and makes namespaces, and root sees which process listens (`ss -p`).
    command += ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"]
    command += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    command += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--env", "container=docker"]
    command += ["--stop-signal", "RTMIN+3", "--stop-timeout", "30"]
    groups = Path("/sys/fs/cgroup")
    if (groups / "cgroup.controllers").exists():
        # With control groups v2 a private namespace is mounted read-only; systemd needs to write to it.
        start = ["/bin/sh", "-c", "mount -o remount,rw /sys/fs/cgroup && exec /sbin/init"]
        command += ["--cgroupns", "private"]
    else:
        # Mounted again, because newer engines make everything below a read-only mount read-only.
        start = ["/sbin/init"]
        command += ["--volume", f"{groups}:{groups}:ro", "--volume", f"{groups}/systemd:{groups}/systemd:rw"]
    engine.run(*command, base, *start)


def _await_boot(engine: Engine, container: str) -> None:
    last = ""

    def check() -> str | None:
        nonlocal last
        running = engine.run("inspect", "--format", "{{.State.Running}}", container).strip()
        if running != "true":
            raise SandboxError(f"systemd ended at once in {container}:\n{_diagnosis(engine, container)}")
        asked = subprocess.run(
            [*engine.command, "exec", container, "systemctl", "is-system-running"],
            capture_output=True,
            text=True,
        )
        last = asked.stdout.strip() or asked.stderr.strip()
        return last if last in ("running", "degraded") else None

    try:
        state = wait_for(f"{container} to boot", BOOT_SECONDS, check)
    except SandboxError as error:
        raise SandboxError(f"{error}; last state `{last}`\n{_diagnosis(engine, container)}") from error
    if state == "degraded":
        say(f"systemd in {container} is up but degraded:\n{_diagnosis(engine, container)}")


def _diagnosis(engine: Engine, container: str) -> str:
    """The first things to look at after a failure; every part is optional, because the host may not respond."""
    parts = []
    for command in (
        ["logs", "--tail", "15", container],
        ["exec", container, "systemctl", "--failed", "--no-legend", "--plain"],
        ["exec", container, "systemctl", "list-jobs", "--no-legend"],
        ["exec", container, "journalctl", "--no-pager", "-p", "warning", "-n", "15"],
    ):
        shown = subprocess.run([*engine.command, *command], capture_output=True, text=True)
        text = (shown.stdout + shown.stderr).strip()
        if text:
            parts.append(f"$ docker {' '.join(command)}\n{text}")
    return "\n".join(parts) or "(no output)"


def _forwarder_serves(record: dict[str, Any], wanted: list[ports.Published]) -> bool:
    running = record.get("forwarder", {})
    return (
        bool(running)
        and alive(running["pid"], running["identity"])
        and record["ports"] == [str(port) for port in wanted]
    )


def _start_forwarder(engine: Engine, name: str, wanted: list[ports.Published], listeners: list[Any]) -> dict[str, Any]:
    make_private_dir(run_dir())
    script = Path(__file__).resolve().parent / "forward.py"
    pairs = [f"{listener.fileno()}:{port.there}" for listener, port in zip(listeners, wanted, strict=True)]
    command = [sys.executable, str(script), *engine.command, "--", container_of(name), *pairs]
    with open(run_dir() / f"forward-{name}.log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            pass_fds=[listener.fileno() for listener in listeners],
        )
    for listener in listeners:
        listener.close()

    def entered() -> str | None:
        text = (run_dir() / f"forward-{name}.log").read_text(encoding="utf-8", errors="replace")
        if process.poll() is not None:
            raise SandboxError(f"the forwarder of {name} ended at once. Its output:\n{text}")
        return "ready" if "forwarding" in text else None

    wait_for("the forwarder to start", 10, entered)
    return {"pid": process.pid, "identity": identity(process.pid) or ""}


def _stop_forwarder(record: dict[str, Any]) -> None:
    running = record.get("forwarder")
    if running:
        stop_process(running["pid"], running["identity"], "the forwarder")


def _remove(engine: Engine, name: str) -> None:
    _stop_forwarder(load(_record_path(name)))
    if inspect(engine, name):
        engine.run("rm", "--force", "--volumes", container_of(name))
    (run_dir() / f"forward-{name}.log").unlink(missing_ok=True)
    _record_path(name).unlink(missing_ok=True)


def down(engine: Engine, name: str) -> None:
    """Remove a host and its forwarder; does nothing if the host does not exist."""
    container_of(name)
    with locked(state_dir() / "hosts" / f"{name}.lock", f"the host {name}"):
        present = inspect(engine, name) is not None
        _remove(engine, name)
    (state_dir() / "hosts" / f"{name}.lock").unlink(missing_ok=True)
    say(f"The host {name} is gone" if present else f"There is no host {name}")


def names(engine: Engine) -> list[str]:
    prefix = container_of("x").removesuffix("x")
    return [container.removeprefix(prefix) for container in engine.containers()]


def restart(engine: Engine, name: str) -> None:
    """Reboot the host; its forwarder reconnects by itself."""
    container = require(engine, name)
    with Step(f"Rebooting the host {name}"):
        engine.run("restart", "--time", "30", container)
        _await_boot(engine, container)
        engine.run("exec", container, "mkdir", "-p", "/run/sshd")


def execute(engine: Engine, name: str, command: list[str]) -> int:
    """Run a command in the host with this terminal's streams; returns its exit code."""
    container = require(engine, name)
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    complete = [*engine.command, "exec", "--interactive", *terminal, container, *command]
    return subprocess.run(complete).returncode


def inventory(engine: Engine, wanted: list[str]) -> str:
    return access.inventory(engine, {name: require(engine, name) for name in wanted})
