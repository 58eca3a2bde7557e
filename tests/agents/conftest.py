"""Each test here runs with settings and a home of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.homes import AGENT_VARIABLES


@pytest.fixture(autouse=True)
def _isolated(own_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AGENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any agent."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home
