"""Settings of its own for each benchmark, and the table at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.rounds import ROWS, table


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """For every test."""


@pytest.fixture(autouse=True, scope="session")
def _print_table() -> Iterator[None]:
    yield
    if ROWS:
        print("\n\n" + "\n".join(table()))
