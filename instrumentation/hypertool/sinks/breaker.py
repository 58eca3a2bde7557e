"""A circuit breaker: after some consecutive failures it pauses all attempts; the pauses grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

THRESHOLD = 3
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0


class CircuitBreaker:
    """Closed: every attempt is allowed. Open: none, for `seconds_left()`. Then one attempt decides (half open)."""

    def __init__(
        self,
        threshold: int = THRESHOLD,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = 0.0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether attempts are paused; one comparison while closed."""
        return self._open_until != 0.0 and self._clock() < self._open_until

    def seconds_left(self) -> float:
        """Seconds until the next attempt is allowed; 0 when one is allowed now."""
        return max(0.0, self._open_until - self._clock()) if self._open_until else 0.0

    def success(self) -> None:
        """An attempt succeeded: close the circuit."""
        with self._lock:
            self._failures = 0
            self._pause = self._open_until = 0.0

    def failure(self, at_least: float = 0.0) -> bool:
        """Note a failure; the server asked for a pause of `at_least` seconds. True if this opened the circuit."""
        with self._lock:
            self._failures += 1
            if self._failures < self._threshold and not self._pause and at_least < self._first_pause:
                return False
            opened = not self._pause
            self._pause = min(self._pause * 2, self._longest_pause) if self._pause else self._first_pause
            self._open_until = self._clock() + max(self._pause, min(at_least, self._longest_pause))
            return opened
