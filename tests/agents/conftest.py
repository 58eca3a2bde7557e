"""Each test here runs with settings and a home of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypertool.runtime.logs import log
from tests.agents.homes import AGENT_VARIABLES


@pytest.fixture(autouse=True)
def _isolated(own_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AGENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(log, "taken", None)  # A command takes it over for the rest of its process.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any agent."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home
