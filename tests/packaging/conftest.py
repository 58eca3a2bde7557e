"""The wheel and the source distribution of this checkout, built once, and new environments to install them into."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and return its output; a failure fails the test with what the command printed."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


@dataclass(frozen=True)
class Built:
    """The two files that a release would publish."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built as a release is: the wheel is made from the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a virtual environment with the named pinned requirements; returns its folder of programs."""

    def make(*requirements: str) -> Path:
        folder = tmp_path_factory.mktemp("venv")
        venv.create(folder, with_pip=True)
        wanted = [f"--requirement={REQUIREMENTS / name}" for name in requirements]
        run(folder / "bin" / "pip", "install", "--quiet", "--require-hashes", *wanted)
        return folder / "bin"

    return make
