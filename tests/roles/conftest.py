"""One fresh host on which everything goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import obstacle
from tests.support.fleet import Fleet, fresh_fleet

DIRECTORY = Path("/var/lib/hypertool-sandbox-roles")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    if obstacle():
        pytest.skip(obstacle())
    with fresh_fleet(DIRECTORY, ("bookworm",)) as made:
        yield made
