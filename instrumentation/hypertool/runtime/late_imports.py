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
        self._held = 0
        self._outranks_logging = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def hold(self) -> None:
        """Before a fork."""
        self._held += self._lock.acquire(timeout=_FORK_WAIT_SECONDS)

    def release(self) -> None:
        """After it, in the parent."""
        if self._held:
            self._held -= 1
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """After it, in the child."""
        self._lock = threading.RLock()
        self._held = 0

    def outrank_logging(self) -> None:
        """Call it while a module is loaded whose threads import late: a fork waits for them first, then for logging.

        `logging` holds its own lock over a fork, from a hook of its own, and the hook that was registered last runs
        first. The other way round, the fork would keep the lock that the importing thread needs to get on.
        """
        if not self._outranks_logging:
            import logging  # noqa: F401 - registers its hook

            self._outranks_logging = True
            self.register()

    def register(self) -> None:
        """Make every fork wait; may be called again, because the lock is re-entrant and holds are counted."""
        os.register_at_fork(before=self.hold, after_in_parent=self.release, after_in_child=self.after_fork_in_child)


loading = _Loading()
loading.register()
