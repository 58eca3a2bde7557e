"""One real Prometheus of the oldest and one of the newest supported release, filled with all scenarios."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.backfill import openmetrics
from tests.dashboards.panels import Fetch, http_fetch
from tests.dashboards.prometheus import backfill, binaries, prometheus
from tests.dashboards.scenarios import HOSTS
from tests.support.debian_binaries import NEWEST_RELEASE, OLDEST_RELEASE


@pytest.fixture(scope="session")
def end() -> float:
    """The end of all data: shortly before now, so that no query reaches into the future."""
    return float((int(time.time()) - 120) // 60 * 60 + 7)


@pytest.fixture(scope="session")
def blocks(end: float, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("blocks")
    samples = directory / "samples.om"
    with samples.open("w", encoding="utf-8") as output:
        output.writelines(openmetrics(HOSTS, end))
    backfill(binaries(OLDEST_RELEASE), samples, directory / "data")
    return directory / "data"


@pytest.fixture(scope="session", params=[OLDEST_RELEASE, NEWEST_RELEASE])
def release(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def filled(release: str, blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetch]:
    """A Prometheus with every scenario in it."""
    directory = tmp_path_factory.mktemp(f"filled-{release}")
    shutil.copytree(blocks, directory / "data")
    with prometheus(binaries(release), directory) as url:
        yield http_fetch(url)


@pytest.fixture(scope="session")
def empty(release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetch]:
    """A Prometheus that has never scraped anything."""
    with prometheus(binaries(release), tmp_path_factory.mktemp(f"empty-{release}")) as url:
        yield http_fetch(url)
