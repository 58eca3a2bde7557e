"""A lock around late imports, so that no fork happens in the middle of one.

A child inherits the import locks that other threads hold at the fork, and those threads don't exist in the child.
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
        """Before a fork: wait for imports in progress."""
        self._held += self._lock.acquire(timeout=_FORK_WAIT_SECONDS)

    def release(self) -> None:
        """After a fork, in the parent: allow imports again."""
        if self._held:
            self._held -= 1
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """After a fork, in the child: start with a new lock."""
        self._lock = threading.RLock()
        self._held = 0

    def outrank_logging(self) -> None:
        """Make a fork wait for late imports before it takes the lock of `logging`.

        Call it when loading a module whose threads import late. `logging` holds its lock across a fork, and fork hooks
        run in reverse order of registration. In the other order the fork would hold the lock that an importing thread
        needs.
        """
        if not self._outranks_logging:
            import logging  # noqa: F401 - registers its hook

            self._outranks_logging = True
            self.register()

    def register(self) -> None:
        """Register the fork hooks; may be called again, because the lock is re-entrant and holds are counted."""
        os.register_at_fork(before=self.hold, after_in_parent=self.release, after_in_child=self.after_fork_in_child)


loading = _Loading()
loading.register()
