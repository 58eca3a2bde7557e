"""A Docker Engine and a set of hosts of its own for the tests of the sandbox."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box, make_box, obstacle


@pytest.fixture(scope="session", autouse=True)
def _possible() -> None:
    if obstacle():
        pytest.skip(obstacle())


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory where programs may be executed, which /tmp need not be."""
    path = Path(tempfile.mkdtemp(prefix="hypertool-sandbox-tests-", dir="/var/lib"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def box(scratch: Path) -> Iterator[Box]:
    made = make_box(scratch / "main", HYPERTOOL_SANDBOX_ENGINE="own")
    try:
        yield made
    finally:
        made.run("down", "--all")


@pytest.fixture(scope="session")
def host(box: Box) -> str:
    """A running bookworm host that the tests of this folder share."""
    box.run("up", "shared", "--release", "bookworm")
    return "shared"


@pytest.fixture
def alone(scratch: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    """A set of hosts with an engine of its own, for one test."""
    made = make_box(scratch / f"alone-{request.node.name}"[:60], HYPERTOOL_SANDBOX_ENGINE="own")
    try:
        yield made
    finally:
        made.run("down", "--all")
