"""Whether a restart is due, on hosts whose clock is set or that sleep: a real unit's start, and files that change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_module import shared_code

unit_start = shared_code("unit_start")
UNIT = "a.service"


class Systemd:
    """Stands where `systemctl show` does: a unit that runs since `monotonic` seconds after the boot."""

    def __init__(self, invocation: str = "1", monotonic: float = 0.0) -> None:
        self.invocation, self.monotonic = invocation, monotonic

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        shown = {"InvocationID": self.invocation, "ActiveEnterTimestampMonotonic": str(int(self.monotonic * 1e6))}
        wanted = argv[-1].partition("=")[2].split(",")
        return 0, "".join(f"{name}={shown[name]}\n" for name in wanted), ""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The link that systemd makes at the start of a unit."""
    monkeypatch.setattr(unit_start, "NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr(unit_start, "STARTED", str(tmp_path / "invocation:{}"))
    link = tmp_path / f"invocation:{UNIT}"
    link.symlink_to("1")
    return link


def set_time(path: Path, seconds: float) -> None:
    os.utime(path, (seconds, seconds), follow_symlinks=False)


def test_a_change_after_the_start_is_due(started: Path, tmp_path: Path) -> None:
    """A file that is newer than the start needs a restart, and one that is older needs none."""
    file = tmp_path / "unit"
    file.write_text("1")
    set_time(started, time.time() - 60)
    assert unit_start.changed_since_start(Systemd(), UNIT, [str(file)])
    set_time(started, time.time() + 1)
    assert not unit_start.changed_since_start(Systemd(), UNIT, [str(file), str(tmp_path / "absent")])


def test_sleep_hides_no_due_restart(started: Path, tmp_path: Path) -> None:
    """The monotonic clock stands still while a host sleeps: a start nine hours ago looks like one a moment ago."""
    set_time(started, time.time() - 9 * 3600)
    file = tmp_path / "unit"
    file.write_text("changed an hour ago, by the wall clock")
    just_now = Systemd(monotonic=time.monotonic())
    assert unit_start.changed_since_start(just_now, UNIT, [str(file)])


@pytest.mark.parametrize("step", [-7200, 86400], ids=["back two hours", "ahead a day"])
def test_a_clock_step_hides_no_due_restart(started: Path, tmp_path: Path, step: float) -> None:
    """What the unit was seen to run decides, whatever the clock said at its start."""
    file = tmp_path / "unit"
    file.write_text("1")
    unit_start.note_start(Systemd(), UNIT, [str(file)])
    set_time(started, time.time() - step)
    assert not unit_start.changed_since_start(Systemd(), UNIT, [str(file)])
    file.write_text("2")
    assert unit_start.changed_since_start(Systemd(), UNIT, [str(file)])


def test_a_note_is_of_one_start_only(started: Path, tmp_path: Path) -> None:
    """After another start the note says nothing: the unit may have read a newer file."""
    file = tmp_path / "unit"
    file.write_text("1")
    unit_start.note_start(Systemd(), UNIT, [str(file)])
    file.write_text("2")
    set_time(started, time.time() + 1)
    assert not unit_start.changed_since_start(Systemd(invocation="2"), UNIT, [str(file)])
