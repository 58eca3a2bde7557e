"""Runs the set-up script, and single functions of its parts, the way a person would."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.setup.script import PARTS, SCRIPT, Run


@pytest.fixture
def setup(tmp_path: Path) -> Run:
    """Run the script with arguments; its cache is a folder of the test's own, and nobody can be asked anything."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return _run([str(SCRIPT), *arguments], {"HYPERTOOL_CACHE_DIR": str(tmp_path / "cache"), **environment})

    return run


@pytest.fixture
def shell() -> Run:
    """Run bash code with the script's parts sourced."""

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        sources = "".join(
            f'source "{PARTS / name}.sh"\n' for name in ("environment", "ui", "host", "controller", "cloud")
        )
        return _run(["bash", "-c", f"set -euo pipefail\nPROGRAM=setup\n{sources}{code}"], environment)

    return run


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
