"""Budget windows of an hour or a day: their start, how long past ones are kept, and the thresholds of any budget."""

from __future__ import annotations

WINDOW_SECONDS = {"hour": 3600, "day": 86400}
KEEP_WINDOWS_SECONDS = 2 * 86400
# Soft thresholds of a budget, in per cent; the first use past each is announced.
SHARES = (80, 100)


def window_start(window: str, now: float) -> int:
    """Start of the `hour` or `day` (UTC) that contains `now`, in seconds since the epoch."""
    length = WINDOW_SECONDS[window]
    return int(now // length) * length


def shares_reached(used: int, limit: int, told: int) -> tuple[int, ...]:
    """The thresholds (per cent of the limit) that `used` has reached, above the one announced last (`told`)."""
    return tuple(share for share in SHARES if told < share and used * 100 >= limit * share)
