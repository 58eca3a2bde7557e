"""Each test here runs with settings of its own, see tests/conftest.py."""

from __future__ import annotations

import pytest

from tests.support.sinks import host as host
from tests.support.sinks import langfuse as langfuse
from tests.support.sinks import receiver as receiver
from tests.unit.metrics.collectors import collector as collector
from tests.unit.metrics.collectors import hands as hands
from tests.unit.metrics.collectors import registry as registry


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """For every test."""
