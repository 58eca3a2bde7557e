"""Each test here runs with settings and a home of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypertool.runtime.logs import log
from tests.agents.gateways import Gateway
from tests.agents.homes import AGENT_VARIABLES
from tests.agents.measured import Measured, measured
from tests.agents.real_clients import find_programs
from tests.dashboards.prometheus import binaries
from tests.support.debian_binaries import NEWEST_RELEASE
from tests.support.fake_models import FakeModels
from tests.support.otlp_receiver import OtlpReceiver

# Agent, what stops it, calls served after the one that overspent, and calls that were refused.
_AFTER_LIMIT: list[tuple[str, str, int, int]] = []
AfterLimit = Callable[[str, str, int, int], None]
Limit = Callable[..., None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _AFTER_LIMIT:
        terminalreporter.section("calls after the limit, with the real clients")
        terminalreporter.write_line(f"{'agent':<14}{'stopped by':<22}{'served':>8}{'refused':>9}")
        for agent, way, served, refused in sorted(_AFTER_LIMIT):
            terminalreporter.write_line(f"{agent:<14}{way:<22}{served:>8}{refused:>9}")


@pytest.fixture
def after_limit(record_property: Callable[[str, object], None]) -> AfterLimit:
    """Notes agent, way, calls served after the limit and calls refused, for the table at the end and for JUnit."""

    def note(agent: str, way: str, served: int, refused: int) -> None:
        _AFTER_LIMIT.append((agent, way, served, refused))
        record_property(f"{agent}, {way}: calls served and refused after the limit", f"{served}, {refused}")

    return note


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Declares the persona `backend-engineer` with a budget of so many tokens that blocks."""

    def declare(tokens: int, window: str = "run") -> None:
        config = tmp_path / "hypertool.toml"
        budget = f'tokens = {tokens}\nwindow = "{window}"\non_exceed = "block"\n'
        config.write_text(f"[personas.backend-engineer]\n{budget}")
        monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))

    return declare


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
    """A workspace in the home; what clients leave running for it (Cline's hub, a killed client's tool) ends with it."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    yield project
    with contextlib.suppress(OSError):
        os.close(os.open(project / "never", os.O_WRONLY | os.O_NONBLOCK))  # What reads it comes to its end.
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


@pytest.fixture
def gateway() -> Iterator[Callable[[FakeModels], Gateway]]:
    """Starts a gateway in front of a model server."""
    pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")
    started: list[Gateway] = []

    def begin(models: FakeModels) -> Gateway:
        started.append(Gateway(models))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
