"""One fresh host on which everything goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import make_box, obstacle
from tests.support.fleet import Fleet

DIRECTORY = Path("/var/lib/hypertool-sandbox-roles")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if obstacle():
        pytest.skip(obstacle())
    box = make_box(DIRECTORY)
    box.run("down", "--all")
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(mode=0o700)
    made = Fleet(box, DIRECTORY, ("bookworm",))
    try:
        made.up()
        yield made
    finally:
        box.run("down", "--all")
        shutil.rmtree(DIRECTORY)
