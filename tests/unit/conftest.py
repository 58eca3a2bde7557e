"""Each test here runs with settings of its own, see tests/conftest.py."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """For every test."""
