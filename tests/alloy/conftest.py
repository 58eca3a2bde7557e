"""A real Alloy against the stand-in of Grafana Cloud; without an Alloy these tests are skipped and say so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.alloy.collector import Collector, cloud_environment
from tests.alloy.journal import JournalWriter, journal_obstacle
from tests.support.alloy_program import alloy
from tests.support.cloud import CloudStandIn, cloud_stand_in
from tests.support.debian_binaries import BinariesUnavailable

__all__ = ["alloy"]


@pytest.fixture
def cloud(alloy: Path, tmp_path: Path) -> Iterator[CloudStandIn]:
    """The stand-in, for tests that have an Alloy to send to it."""
    try:
        with cloud_stand_in(tmp_path / "cloud") as cloud:
            yield cloud
    except BinariesUnavailable as error:
        pytest.skip(f"no Prometheus for the stand-in: {error}")


@pytest.fixture
def token_file(cloud: CloudStandIn, tmp_path: Path) -> Path:
    """The credential, with the newline that an editor leaves."""
    path = tmp_path / "token"
    path.write_text(cloud.token + "\n", encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.fixture
def to_cloud(alloy: Path, cloud: CloudStandIn, token_file: Path, tmp_path: Path) -> Collector:
    """A collector for destination grafana_cloud, not yet started."""
    return Collector(alloy, tmp_path / "collector", "grafana_cloud", cloud_environment(cloud, token_file))


@pytest.fixture
def journal(to_cloud: Collector) -> Iterator[JournalWriter]:
    """A real journal, which that collector reads."""
    obstacle = journal_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    with JournalWriter(to_cloud.journal) as writer:
        yield writer


@pytest.fixture(scope="session")
def outage_seconds() -> float:
    """How long destinations stay away in the outage tests; HYPERTOOL_OUTAGE_SECONDS=300 for the full five minutes."""
    text = os.environ.get("HYPERTOOL_OUTAGE_SECONDS", "20")
    try:
        return float(text)
    except ValueError:
        pytest.fail(f"HYPERTOOL_OUTAGE_SECONDS={text!r} is not a number of seconds")


@pytest.fixture
def make_collector(alloy: Path, tmp_path: Path) -> Callable[..., Collector]:
    """Collectors of other kinds: `make_collector("local", {...})`."""

    def make(destination: str, environment: dict[str, str]) -> Collector:
        return Collector(alloy, tmp_path / "other", destination, environment)

    return make
