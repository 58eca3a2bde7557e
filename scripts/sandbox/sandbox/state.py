"""Directories and records of the sandbox, locks, and the identity of started processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .progress import SandboxError, say

DEFAULT_DIR = "/var/lib/hypertool-sandbox"
LABEL = "io.hypertool.sandbox"


def state_dir() -> Path:
    """The state of running hosts and our own engine; one directory is one set of hosts."""
    return Path(os.environ.get("HYPERTOOL_SANDBOX_DIR") or DEFAULT_DIR).resolve()


def docker_dir() -> Path:
    """What our own engine keeps between runs: images, containers, networks."""
    return state_dir() / "docker"


def tag() -> str:
    """A tag for names on this machine, which keeps sets of hosts in different state directories apart."""
    path = str(state_dir())
    return "" if path == DEFAULT_DIR else hashlib.sha256(path.encode()).hexdigest()[:6]


def suffix() -> str:
    return f"-{tag()}" if tag() else ""


def run_dir() -> Path:
    """The directory of sockets: their paths must be short, and they must not survive a reboot."""
    return Path(f"/run/hypertool-sandbox{suffix()}")


def cache_dir() -> Path:
    """Files that are slow to create and may be deleted at any time."""
    explicit = os.environ.get("HYPERTOOL_CACHE_DIR")
    if explicit:
        return Path(explicit).resolve() / "sandbox"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hypertool-observability" / "sandbox"


def make_private_dir(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except PermissionError as error:
        raise SandboxError(
            f"cannot create {path}: {error.strerror}; run as root, or set HYPERTOOL_SANDBOX_DIR "
            "(and HYPERTOOL_CACHE_DIR) to directories you may write"
        ) from error
    return path


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock among processes; the kernel releases it when the holder dies."""
    make_private_dir(path.parent)
    with open(path, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is busy with {what}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def load(path: Path) -> dict[str, Any]:
    """The recorded facts; empty without a complete record."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def save(path: Path, content: dict[str, Any]) -> None:
    make_private_dir(path.parent)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def identity(pid: int) -> str | None:
    """Identify a process by start time and boot, because its pid may be reused."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def alive(pid: int, recorded: str) -> bool:
    return pid > 0 and identity(pid) == recorded


def stop_process(pid: int, recorded: str, what: str, seconds: float = 20) -> None:
    """End exactly the recorded process: ask, wait, and only then kill."""
    if not alive(pid, recorded):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            if not alive(pid, recorded):
                return
            os.kill(pid, number)
            if select.select([descriptor], [], [], patience)[0]:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                return
        raise SandboxError(f"{what} (pid {pid}) does not end, even after SIGKILL")
    finally:
        os.close(descriptor)


def _mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if point.startswith(f"{path}/")]


def unmount_below(path: Path) -> None:
    """Unmount everything in a directory of ours, the innermost mount first."""
    for point in sorted(_mounts_below(path), key=len, reverse=True):
        done = subprocess.run(["umount", point], capture_output=True, text=True)
        if done.returncode:
            raise SandboxError(f"cannot unmount {point}: {done.stderr.strip()}")


def delete_tree(path: Path) -> None:
    """Delete a directory tree of ours; refuse if something is still mounted in it."""
    if not path.exists():
        return
    inside = _mounts_below(path)
    if inside:
        raise SandboxError(f"{path} cannot be deleted, because these are still mounted in it: {', '.join(inside)}")
    shutil.rmtree(path)
