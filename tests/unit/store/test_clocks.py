"""Budgets and stages under clocks that are ahead, behind, set right, or asleep."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hypertool.domain.budget_windows import window_start
from hypertool.domain.personas import Catalogue, Persona
from hypertool.recording.cells import Clock, OpenStage
from hypertool.recording.recorder import Recorder
from hypertool.store.archive import Archive
from hypertool.store.budgets import LINGER_SECONDS, budgets
from hypertool.store.directory import StateDirectory
from hypertool.store.snapshot_reader import from_data
from tests.support.store_writers import Process, store

P = "backend-engineer"
DAY = 86400.0


class Wall:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.now = time.time()
        self.elapsed = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(time=lambda: self.now, monotonic=lambda: self.elapsed)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.elapsed += seconds


def catalogue(window: str = "run", tokens: int = 1000, source: str = "package", loaded_at: float = 1.0) -> Catalogue:
    return Catalogue({P: Persona(P, tokens, window, source=source)}, loaded_at)


def process(path: Path, wall: Wall, declared: Catalogue) -> Process:
    made = Process(path, declared)
    made.recorder = Recorder(wall.clock)
    return made


def left(path: Path, declared: Catalogue, now: float | None = None) -> int:
    totals = store(path).merge().totals
    return budgets(declared, totals, {}, time.time() if now is None else now)[P].remaining


def overspent_a_day_ahead(path: Path) -> tuple[Wall, Catalogue]:
    """A run has used 1500 of 1000 tokens and ended, under a clock that was a day ahead."""
    wall, declared = Wall(), catalogue()
    wall.now += DAY
    ahead = process(path, wall, declared).tokens(1500)
    ahead.recorder.close_implicit()
    ahead.publish().die()
    return wall, declared


def test_run_overspent_a_day_ahead_lingers_15_minutes(tmp_path: Path) -> None:
    """The clock was a day ahead when a run overspent; set right, the gauge shows it no longer than any other run."""
    _, declared = overspent_a_day_ahead(tmp_path)
    assert left(tmp_path, declared) == -500
    store(tmp_path).fold()
    assert left(tmp_path, declared) == -500
    assert left(tmp_path, declared, time.time() + LINGER_SECONDS + 10) == 1000


@pytest.mark.parametrize("folded", ["before", "together"])
@pytest.mark.parametrize("since", [-20, 1], ids=["before it was looked at", "after"])
def test_later_run_replaces_one_of_a_clock_ahead(tmp_path: Path, since: int, folded: str) -> None:
    """A healthy run after the clock was set right takes the place of the overspent one, at once and for good."""
    wall, declared = overspent_a_day_ahead(tmp_path)
    if folded == "before":
        store(tmp_path).fold()
    wall.now = time.time() + since
    after = process(tmp_path, wall, declared).tokens(100)
    after.recorder.close_implicit()
    after.publish().die()
    assert left(tmp_path, declared) == 900
    store(tmp_path).fold()
    assert left(tmp_path, declared) == 900


@pytest.mark.shared_host("S10")
def test_archive_of_a_clock_ahead_is_corrected(tmp_path: Path) -> None:
    """The service folded while the clock was ahead: its next fold under the right one corrects what it kept."""
    overspent_a_day_ahead(tmp_path)
    archive = Archive(StateDirectory(tmp_path))
    archive.fold(time.time() + DAY)
    archive.fold(time.time())
    assert archive.load().totals.ended[P].time <= time.time() + 5


@pytest.mark.shared_host("S10")
def test_raised_budget_counts_after_a_clock_ahead(tmp_path: Path) -> None:
    """A limit that was loaded under a clock ahead does not outlive one that is loaded later."""
    wall = Wall()
    process(tmp_path, wall, catalogue("day", 1000, "user", time.time() + DAY)).tokens(1).publish().die()
    store(tmp_path).fold()
    process(tmp_path, wall, catalogue("day", 5000, "user", time.time() - 20)).tokens(1).publish()
    assert budgets(catalogue("day"), store(tmp_path).merge().totals, {}, time.time())[P].limit == 5000
    own = catalogue("day", 7000, "host", 1.0)
    assert budgets(own, store(tmp_path).merge().totals, {}, time.time())[P].limit == 7000, "the host's own file wins"


@pytest.mark.parametrize("window", ["hour", "day"])
def test_window_of_a_clock_ahead_is_the_current_one(tmp_path: Path, window: str) -> None:
    """What was used in a window that has not begun was used now, and not taken from tomorrow's budget."""
    wall, declared = Wall(), catalogue(window, 1000, "user")
    wall.now += DAY
    process(tmp_path, wall, declared).tokens(400).publish().die()
    assert left(tmp_path, declared) == 600
    store(tmp_path).fold()
    assert left(tmp_path, declared) == 600
    assert left(tmp_path, declared, time.time() + DAY) == 1000


@pytest.mark.parametrize("step", [-7200.0, DAY, 9 * 3600.0], ids=["back 2 h", "ahead a day", "nine hours of sleep"])
def test_stage_is_as_old_as_it_ran(step: float) -> None:
    """A stage of one minute is a minute old, whatever happened to the wall clock meanwhile."""
    wall = Wall()
    recorder = Recorder(wall.clock)
    recorder.open_stages[1] = OpenStage("w", "s", recorder.clock.monotonic(), True)
    wall.passes(60)
    wall.now += step
    stage = from_data(recorder.snapshot({}, 1.0)).open_stages[0]
    assert wall.now - stage[2] == pytest.approx(60)


def test_windows_follow_a_clock_that_is_set_back() -> None:
    """A process that debited tomorrow's window takes it back into today's."""
    wall, declared = Wall(), catalogue("day", 1000, "user")
    recorder = Recorder(wall.clock)
    wall.now += DAY
    recorder.spend(recorder.implicit, declared.personas[P], 300)
    wall.now -= DAY
    recorder.clock_was_set({P: "day"})
    assert recorder.windows == {(P, window_start("day", wall.now), 0): 300}
