"""When a collector that only sends is restarted after the clock was set back; tests/clocks has the real programs."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import pytest

PROGRAM = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "ansible/roles/host/files/stuck_after_clock_change.py")
)
#: Lines of Alloy 1.18 and of Prometheus 2.42 in agent mode.
METRICS = """\
# TYPE prometheus_remote_storage_highest_timestamp_in_seconds gauge
prometheus_remote_storage_highest_timestamp_in_seconds{{component_id="remote_write.a}} b",x="/"}} {newest:.9e}
prometheus_remote_storage_highest_timestamp_in_seconds 0
# TYPE prometheus_remote_storage_queue_highest_sent_timestamp_seconds gauge
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{{url="http://d/"}} {sent:.9e}
"""


def verdict(ahead: float, unsent: float) -> tuple[bool, str]:
    """The verdict on one whose newest sample is so much later than now, and whose destination is so much behind it."""
    newest = time.time() + ahead
    sender = PROGRAM["Sender"]("http://127.0.0.1:1", "none")
    sender.read = lambda path: METRICS.format(newest=newest, sent=newest - unsent)
    answer: tuple[bool, str] = PROGRAM["verdict_of_sender"](sender)
    return answer


@pytest.mark.parametrize(
    ("ahead", "unsent", "restarts", "said"),
    [
        (-5, 5, False, "nothing to do"),
        (10, 0, False, "nothing to do"),
        (7200, 5, True, "7200 s later than now"),
        (7200, 7000, True, "restarting"),
        (600, 3600, False, "3600 s of samples are not sent yet and would be lost"),
    ],
)
def test_sender_restarts_where_less_is_lost(ahead: float, unsent: float, restarts: bool, said: str) -> None:
    """It is restarted if it is stuck, unless more waits to be sent than is lost until the clock is there again."""
    stuck, reason = verdict(ahead, unsent)
    assert stuck is restarts
    assert said in reason


def test_sender_without_samples_is_left_alone() -> None:
    """One that was just started, or has no destination, has none of these metrics."""
    sender = PROGRAM["Sender"]("http://127.0.0.1:1", "none")
    sender.read = lambda path: "up 1\n"
    assert PROGRAM["verdict_of_sender"](sender)[0] is False
