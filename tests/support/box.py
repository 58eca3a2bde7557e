"""The sandbox program as tests use it: with a set of hosts of their own, or not at all and why."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "sandbox"
T = TypeVar("T")


@dataclass
class Box:
    """The sandbox program with an environment of its own."""

    environment: dict[str, str]

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            input=stdin,
            timeout=400,
        )
        if check and done.returncode:
            raise AssertionError(f"sandbox {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", str(PROGRAM), *arguments],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inside(self, name: str, *command: str, stdin: str | None = None) -> str:
        return self.run("exec", name, "--", *command, stdin=stdin).stdout

    def docker(self, *arguments: str) -> str:
        client = self.run("engine", "command").stdout.split()
        return subprocess.run([*client, *arguments], capture_output=True, text=True, check=True).stdout

    @property
    def directory(self) -> Path:
        return Path(self.environment["HYPERTOOL_SANDBOX_DIR"])


def until(what: str, seconds: float, check: Callable[[], T | None], seen: Callable[[], str] | None = None) -> T:
    """Wait for a condition; the message of the failure says for which, and `seen` what there is instead of it.

    A check that takes long (an SSH session, a container's CLI) is asked the less often: others need the processors.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        result = check()
        if result is not None:
            return result
        now = time.monotonic()
        if now >= deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}, in vain" + (f":\n{seen()}" if seen else ""))
        time.sleep(min(max(0.05, 2 * (now - began)), 2.0))


def obstacle() -> str:
    """Why no sandbox host can be made here; empty if one can."""
    if not sys.platform.startswith("linux"):
        return f"hosts need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "starting an engine and publishing ports need root; run pytest as root"
    if not (shutil.which("dockerd") or shutil.which("apt-get")):
        return "there is neither dockerd nor an apt-get to install it with"
    return ""


def make_box(directory: Path, **environment: str) -> Box:
    """A set of hosts of its own, which lives in `directory`."""
    return Box({"HYPERTOOL_SANDBOX_DIR": str(directory), **environment})


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
