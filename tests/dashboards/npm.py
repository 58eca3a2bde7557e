"""Installs npm packages at the versions and hashes of packages/NAME/package-lock.json, or skips with the reason."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.debian_binaries import cache_dir

#: One folder for each set of packages. To change a version: edit its package.json, then in that folder run
#: `npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --legacy-peer-deps`.
PACKAGES = Path(__file__).with_name("packages")


def installed(name: str) -> Path:
    """A directory in whose node_modules the packages of packages/`name` are; skips where they cannot be had."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; install nodejs and npm to run what this test takes from npm")
    pins = [PACKAGES / name / file for file in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    directory = cache_dir() / "npm" / f"{name}-{digest[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = directory / ".complete"
        if not complete.exists():
            for pin in pins:
                shutil.copy(pin, directory)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
            result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
            if result.returncode:
                pytest.skip(f"npm could not install {name}: {result.stderr.strip()[-500:]}")
            complete.touch()
    return directory
