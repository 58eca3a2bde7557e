"""Budget windows of an hour or a day: their start, and how long past windows are kept."""

from __future__ import annotations

WINDOW_SECONDS = {"hour": 3600, "day": 86400}
KEEP_WINDOWS_SECONDS = 2 * 86400


def window_start(window: str, now: float) -> int:
    """Start of the `hour` or `day` (UTC) that contains `now`, in seconds since the epoch."""
    length = WINDOW_SECONDS[window]
    return int(now // length) * length
