"""Each test here runs with settings and a home of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.runtime.logs import log
from tests.agents.homes import AGENT_VARIABLES
from tests.agents.measured import Measured, measured
from tests.agents.real_clients import find_programs
from tests.dashboards.prometheus import binaries
from tests.support.debian_binaries import NEWEST_RELEASE
from tests.support.fake_models import FakeModels
from tests.support.otlp_receiver import OtlpReceiver


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


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real clients' programs; skipped where npm is missing or does not deliver them."""
    return find_programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def project(home: Path) -> Iterator[Path]:
    """A workspace in the home; what clients leave running for it (Cline's hub) ends with the test."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    yield project
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(project) in (process / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def models() -> Iterator[FakeModels]:
    """The model server: one tool call, then text."""
    with FakeModels(commands=["echo one"]) as server:
        yield server


@pytest.fixture
def otlp() -> Iterator[OtlpReceiver]:
    """Where spans go."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def prometheus_programs() -> Path:
    """Prometheus' programs, found before a test has a home of its own: the cache is in the user's."""
    return binaries(NEWEST_RELEASE)


@pytest.fixture
def prometheus(prometheus_programs: Path, home: Path) -> Iterator[Measured]:
    """A real Prometheus that scrapes the real exporter on the state of this test."""
    with measured(home.parent, prometheus_programs) as found:
        yield found
