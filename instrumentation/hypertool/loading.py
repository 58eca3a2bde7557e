"""A lock around what is imported late, so that a fork does not happen in the middle of it.

A child inherits the locks of modules that another thread was importing, and nobody is left to release them.
"""

from __future__ import annotations

import os
import threading

# Longer than any import takes; a fork that waited this long goes on.
_FORK_WAIT_SECONDS = 5.0


class _Loading:
    """`with loading:` around late imports; re-entrant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def hold(self) -> None:
        """Before a fork."""
        self._held = self._lock.acquire(timeout=_FORK_WAIT_SECONDS)

    def release(self) -> None:
        """After it, in the parent."""
        if self._held:
            self._held = False
            self._lock.release()

    def begin_as_fork(self) -> None:
        """After it, in the child."""
        self._lock = threading.RLock()
        self._held = False


loading = _Loading()
os.register_at_fork(before=loading.hold, after_in_parent=loading.release, after_in_child=loading.begin_as_fork)
