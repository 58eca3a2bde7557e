"""Packages of the distribution that the sandbox itself needs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .progress import SandboxError, Step
from .state import state_dir


def install(names: list[str], step: Step) -> list[str]:
    """Install with apt-get; a trailing `?` marks a package that some releases lack. Returns the new packages."""
    wanted = [name.rstrip("?") for name in names]
    if not shutil.which("apt-get"):
        raise SandboxError(
            f"this machine has no apt-get; install {' and '.join(wanted)} (or its equivalent here), then run this again"
        )
    if os.geteuid() != 0:
        raise SandboxError(f"installing {' '.join(wanted)} needs root; install it, or run this as root")
    known = _known(wanted)
    if not set(known) >= {name for name in names if not name.endswith("?")}:
        step.detail("apt-get update")
        _apt(["update"], step)
        known = _known(wanted)
    missing = [name for name in names if not name.endswith("?") and name not in known]
    if missing:
        raise SandboxError(f"the distribution's package sources do not have {' '.join(missing)}")
    before = _installed()
    state_dir().mkdir(parents=True, exist_ok=True)
    try:
        _apt(["install", "--yes", "--no-install-recommends", *known], step)
    except SandboxError:
        # Outdated package lists name files that the mirror no longer has.
        _apt(["update"], step)
        _apt(["install", "--yes", "--no-install-recommends", *known], step)
    finally:
        new = sorted(_installed() - before)
        with record().open("a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in new)
    return new


def record() -> Path:
    """The names of all packages that were installed for this set of hosts and were absent before."""
    return state_dir() / "installed-packages"


def installed_for_us() -> list[str]:
    """Those packages that are still installed."""
    try:
        names = set(record().read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return []
    return sorted(names & _installed()) if names else []


def _known(names: list[str]) -> list[str]:
    shown = subprocess.run(["apt-cache", "policy", *names], capture_output=True, text=True).stdout
    known, current = [], ""
    for line in shown.splitlines():
        if not line.startswith(" "):
            current = line.rstrip(":")
        elif line.startswith("  Candidate:") and "(none)" not in line:
            known.append(current)
    return known


def _installed() -> set[str]:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("ii")}


def _apt(arguments: list[str], step: Step) -> None:
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    process = subprocess.Popen(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        step.detail(line.strip()[:90])
    if process.wait():
        raise SandboxError(f"`{' '.join(command)}` failed:\n" + "\n".join(lines[-12:]))
