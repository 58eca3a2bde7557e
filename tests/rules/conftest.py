"""Programs of the oldest and the newest supported release, and the results of all promtool cases."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.rules.cases import Case, all_cases
from tests.support.debian_binaries import (
    NEWEST_RELEASE,
    OLDEST_RELEASE,
    BinariesUnavailable,
    alertmanager_binaries,
    prometheus_binaries,
)

Outcome = subprocess.CompletedProcess[str]


def _bin(unpack: Callable[[str], Path], release: str) -> Path:
    try:
        return unpack(release)
    except BinariesUnavailable as missing:
        pytest.skip(f"the programs of {release} cannot be had here: {missing}")


@pytest.fixture(scope="session", params=[OLDEST_RELEASE, "trixie", NEWEST_RELEASE])
def any_prometheus(request: pytest.FixtureRequest) -> Path:
    """Directory with prometheus and promtool, once per release (2.42, 2.53, 3.5)."""
    return _bin(prometheus_binaries, request.param)


@pytest.fixture(scope="session", params=[OLDEST_RELEASE, "trixie", NEWEST_RELEASE])
def any_alertmanager(request: pytest.FixtureRequest) -> Path:
    """Directory with prometheus-alertmanager and amtool, once per release (0.25, 0.28 and newer)."""
    return _bin(alertmanager_binaries, request.param)


@pytest.fixture(scope="session", params=[OLDEST_RELEASE, NEWEST_RELEASE])
def edge_release(request: pytest.FixtureRequest) -> str:
    """The oldest and the newest release; skips where their programs cannot be had."""
    _bin(prometheus_binaries, request.param)
    _bin(alertmanager_binaries, request.param)
    return str(request.param)


def cases_of(release: str) -> list[Case]:
    """The cases that a release is asked about.

    Each case is run at both scrape intervals and on both releases, but not in all four combinations, which take a
    quarter of an hour: what differs between releases is the language, and between intervals what is seen.
    `HYPERTOOL_ALL_COMBINATIONS=1` runs them all.
    """
    if os.environ.get("HYPERTOOL_ALL_COMBINATIONS") == "1":
        return all_cases()
    return [case for case in all_cases() if case.scrape == (60 if release == OLDEST_RELEASE else 15)]


def run(*command: str | Path, timeout: float = 120, folder: Path | None = None) -> Outcome:
    """Run a program, in a folder if one is given, and keep its output."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)


class CaseResults:
    """The results of promtool, a release's all at once when its first is asked for, as many as there are processors."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._of: dict[str, dict[str, Future[Outcome]]] = {}

    def of(self, release: str, case: Case) -> Outcome:
        """promtool's verdict on a case; skips where this release's programs cannot be had."""
        if release not in self._of:
            promtool, folder = _bin(prometheus_binaries, release) / "promtool", self._folder / release
            folder.mkdir()

            def check(number: int, one: Case) -> Outcome:
                file = folder / f"{number}.yml"
                file.write_text(one.as_file(), encoding="utf-8")
                # A fifth less processor time: cases live for seconds and are small.
                return run("env", "GOGC=400", promtool, "test", "rules", file)

            self._of[release] = {
                one.id: self._pool.submit(check, number, one) for number, one in enumerate(cases_of(release))
            }
        return self._of[release][case.id].result()


# Not parametrized by release: pytest would end and begin it anew between two tests of different releases.
@pytest.fixture(scope="session")
def case_results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseResults]:
    """Every case of the oldest and the newest release."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        yield CaseResults(tmp_path_factory.mktemp("cases"), pool)
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def worlds(edge_release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Both worlds of tests.rules.worlds under the oldest and the newest release."""
    from tests.rules.worlds import worlds as start

    with start(edge_release, tmp_path_factory.mktemp(f"worlds-{edge_release}")) as running:
        yield running
