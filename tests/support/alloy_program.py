"""The real Grafana Alloy, where this machine has one; there is none in the registries that tests can always reach."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

MISSING = "no Alloy here: set ALLOY_BIN to the program (or put `alloy` on the PATH)"


def alloy_program() -> Path | None:
    """The program that ALLOY_BIN names, else `alloy` on the PATH. ValueError if ALLOY_BIN names nothing that runs."""
    chosen = os.environ.get("ALLOY_BIN")
    if chosen:
        if not os.access(chosen, os.X_OK) or Path(chosen).is_dir():
            raise ValueError(f"ALLOY_BIN={chosen!r} is not a program; give the path of an Alloy, or unset it")
        return Path(chosen).resolve()
    found = shutil.which("alloy")
    return Path(found) if found else None


@pytest.fixture(scope="session")
def alloy() -> Path:
    """The program; a test that asks for it is skipped where there is none."""
    program = alloy_program()
    if program is None:
        pytest.skip(MISSING)
    return program
