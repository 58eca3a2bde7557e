"""Programs of the oldest and the newest supported release, and the results of all promtool cases."""

from __future__ import annotations

import os
import re
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
#: Cases that one run of promtool checks, one after the other.
AT_ONCE = 14


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
        return list(all_cases())
    return [case for case in all_cases() if case.scrape == (60 if release == OLDEST_RELEASE else 15)]


def run(*command: str | Path, timeout: float = 120, folder: Path | None = None) -> Outcome:
    """Run a program, in a folder if one is given, and keep its output."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)


class CaseResults:
    """promtool's verdicts, a release's all when its first is asked for, on as many processors as there are."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._of: dict[str, dict[str, Future[dict[str, str]]]] = {}

    def of(self, release: str, case: Case) -> str:
        """What promtool says of a case, SUCCESS or what differs; skips where this release's programs cannot be had."""
        if release not in self._of:
            promtool, folder = _bin(prometheus_binaries, release) / "promtool", self._folder / release
            folder.mkdir()
            cases, self._of[release] = cases_of(release), {}
            for first in range(0, len(cases), AT_ONCE):
                some = cases[first : first + AT_ONCE]
                verdicts = self._pool.submit(verdicts_of, promtool, some, folder / str(first))
                self._of[release] |= dict.fromkeys((one.id for one in some), verdicts)
        return self._of[release][case.id].result()[case.id]


def verdicts_of(promtool: Path, cases: list[Case], folder: Path) -> dict[str, str]:
    """By id: what one run of promtool says of each case; all that it has said, if that is not one verdict each."""
    folder.mkdir()
    for number, case in enumerate(cases):
        (folder / f"{number}.yml").write_text(case.as_file(), encoding="utf-8")
    # With more garbage a fifth less processor time: cases live for seconds and are small.
    command = ["env", "GOGC=400", promtool, "test", "rules", *(f"{number}.yml" for number in range(len(cases)))]
    # Its verdicts go to two outputs; only together are they in order.
    checked = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=800, check=False
    )
    # Only older releases name the file; all say one or the other of each, in their order.
    said = re.split(r"^(?:Unit Testing: .*\n)?  (?=SUCCESS$|FAILED:$)", checked.stdout, flags=re.MULTILINE)[1:]
    if len(said) != len(cases) or (checked.returncode == 0) != all(text.strip() == "SUCCESS" for text in said):
        said = [f"{len(said)} verdicts on {len(cases)} cases: {checked.stdout}"] * len(cases)
    return {case.id: text.strip() for case, text in zip(cases, said, strict=True)}


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
