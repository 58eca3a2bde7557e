"""One log line per change of state: what is down is said once, and once more when it is back."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger("hypertool")


class StateLog:
    """Says a state when it differs from the one said before; safe from any thread."""

    def __init__(self, initial: str = "ok") -> None:
        self._state = initial
        self._lock = threading.Lock()

    def change(self, state: str, level: int, message: str) -> bool:
        """Log `message` if `state` is new; returns whether it was."""
        with self._lock:
            if state == self._state:
                return False
            self._state = state
        log.log(level, "%s", message)
        return True


class Once:
    """Says each thing once in the life of the process."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, message: str) -> None:
        """Log a warning the first time that `key` is seen."""
        if key not in self._said:
            self._said.add(key)
            log.warning("%s", message)


once = Once()
