"""Installs npm packages into the cache, once for each version, or skips the test with the reason."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.debian_binaries import cache_dir


def installed(name: str, *packages: str) -> Path:
    """A directory in whose node_modules the `packages` are; skips where they cannot be had."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; install nodejs and npm to run Grafana's own code")
    directory = cache_dir() / "npm" / name
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = directory / ".complete"
        if not complete.exists():
            (directory / "package.json").write_text('{"private": true}\n', encoding="utf-8")
            flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps", "--no-save"]
            command = ["npm", "install", *flags, *packages]
            result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
            if result.returncode:
                pytest.skip(f"npm could not install {' '.join(packages)}: {result.stderr.strip()[-500:]}")
            complete.touch()
    return directory
