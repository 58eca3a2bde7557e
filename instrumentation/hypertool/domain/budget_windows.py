"""Budget windows of the clock: when an hour or a day starts, and how long a past one is kept."""

from __future__ import annotations

WINDOW_SECONDS = {"hour": 3600, "day": 86400}
KEEP_WINDOWS_SECONDS = 2 * 86400


def window_start(window: str, now: float) -> int:
    """Start of the `hour` or `day` (UTC) that `now` is in, seconds since the epoch."""
    length = WINDOW_SECONDS[window]
    return int(now // length) * length
