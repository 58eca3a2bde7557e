"""Publishes a process's numbers into the store: at once where it matters, else every second, and at exit.

No error reaches the caller: it is logged once, and publishing is retried.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from ..domain.personas import Catalogue
from ..errors import StoreUnavailable
from ..recording.recorder import Recorder
from ..runtime.bell import Bell
from ..runtime.logs import log
from ..store.store import Store
from ..store.totals import Totals

EVERY_SECONDS = 1.0
COALESCE_SECONDS = 0.02
RETRY_SECONDS = 5.0
# How often at most the thread looks for resets and a set clock, however often it is woken.
LOOK_SECONDS = 0.5
EXIT_SECONDS = 0.4
# Publishing a call takes 12 us, and 100 us where others keep disk and processors busy: at most 1 per cent of the time.
CALL_SPACING_SECONDS = 0.01
CALL_BURST = 10
# Slewing moves a clock by less; what moves it by more sets it.
CLOCK_STEP_SECONDS = 1.0


class Publisher:
    """Watches a recorder and writes its snapshots; also applies the host's budget resets to it."""

    def __init__(self, recorder: Recorder, catalogue: Catalogue, store: Store) -> None:
        self.store = store
        self._recorder = recorder
        self._catalogue = catalogue
        self._writer = store.writer()
        self._failed = False
        # Why publishing fails; None while it works.
        self.problem: str | None = None
        self._armed = False
        self._begin()
        recorder.on_dirty = self.notify
        # Now, not at the first record: exit hooks run in reverse order, and what sinks count at exit must still be
        # published.
        atexit.register(self.finish)
        os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._after_fork_in_child)
        if store.note is not None:
            log.warning("%s", store.note)

    def _begin(self) -> None:
        self._publishing = threading.RLock()
        self._writing = False
        self._starting = threading.Lock()
        self._wake = Bell()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._urgent = False
        self._stopping = False
        self._holder = 0
        self._last = float("-inf")
        self._calls_paid_until = float("-inf")
        # Before it a call is left to the thread; compared on each call.
        self.next_call = float("-inf")
        self._ahead = self._recorder.clock.time() - self._recorder.clock.monotonic()
        self._inline = False
        self._ended = False
        self._every_call = False
        self._recorder.resets_seen = dict(self.store.resets.read())

    def notify(self) -> None:
        """Publish within a second."""
        if self._inline:
            self._publish_inline()
            return
        if self._thread is None:
            self._start()
        self._wake.ring()

    def publish_soon(self) -> None:
        """Publish now; in a burst, within 20 ms."""
        spacing = RETRY_SECONDS if self._failed else COALESCE_SECONDS
        if time.monotonic() - self._last >= spacing:
            self.publish()
        elif not self._urgent:
            self._urgent = True
            self.notify()

    def publish_call(self) -> None:
        """Publish a call before it returns, so that no signal can lose it; in a long burst, within 20 ms.

        The first CALL_BURST calls of a burst are published one by one, later ones every 10 ms.
        A multiprocessing child may be terminated at any time, so it publishes every call.
        """
        now = time.monotonic()
        if self._failed or (now < self.next_call and not self._every_call):
            self._recorder.dirty = True
            if not self._urgent:
                self._urgent = True
                self.notify()
            return
        self._calls_paid_until = paid = max(self._calls_paid_until, now) + CALL_SPACING_SECONDS
        self.next_call = float("-inf") if self._every_call else paid - (CALL_BURST - 1) * CALL_SPACING_SECONDS
        self.publish()

    def _publish_inline(self) -> None:
        """Publish in the caller's thread: this interpreter has no thread for it, or is about to end.

        A stream that is closed while the interpreter goes down is recorded after every exit hook has run.
        """
        if self._writing:
            return  # called by what is being published
        if not self._ended and time.monotonic() - self._last < COALESCE_SECONDS:
            return  # the exit hook publishes what comes last
        self.publish()

    def publish(self) -> bool:
        """Write a snapshot now; False if the store refused it (logged once, retried later)."""
        # A thread that the end of the interpreter has stopped may hold the lock.
        if not self._publishing.acquire(timeout=EXIT_SECONDS if self._ended else -1):
            return False
        try:
            if self._writing:  # Called by a signal handler in the middle of a write.
                self._recorder.dirty = True
                self.notify()
                return True
            self._writing = True
            try:
                return self._publish()
            finally:
                self._writing = False
        finally:
            self._publishing.release()

    def _publish(self) -> bool:
        self._last = time.monotonic()
        if not self._armed:
            self._arm()
        try:
            self._writer.write(self._recorder.written(self._catalogue.personas, self._catalogue.loaded_at))
        except Exception as error:  # No error here may reach the caller.
            self._recorder.dirty = True
            if not self._failed:
                self._failed = True
                reason = self.store.directory.unavailable(error) if isinstance(error, OSError) else error
                self.problem = str(reason)
                log.error(
                    "metrics are not published for now (nothing is lost while this process lives): %s",
                    reason,
                    exc_info=None if isinstance(error, (OSError, StoreUnavailable)) else error,
                )
            self.notify()  # The thread retries.
            return False
        if self._failed:
            self._failed = False
            self.problem = None
            log.warning("metrics are published again to %s", self.store.path)
        return True

    def elsewhere(self) -> Totals:
        """The totals of all other processes, with their reservations of hour and day budgets."""
        try:
            return self.store.view.read(skip=self._writer.id).totals
        except (StoreUnavailable, MemoryError):  # Logged by publish().
            return Totals()

    def resets(self) -> dict[str, int]:
        """The newest reset of each persona's budget that this process has applied."""
        self._apply_resets()
        return self._recorder.resets_seen

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # Another thread is starting it.
        try:
            self._start_thread()
        finally:
            self._starting.release()

    def _start_thread(self) -> None:
        if self._thread is not None:
            return
        self._arm()
        if sys.is_finalizing():  # before Python 3.12 a thread that is started now never runs, and start() waits for it
            self._inline = self._ended = True
            self._publish_inline()
            return
        try:
            thread = threading.Thread(target=self._loop, name="hypertool-publisher", daemon=True)
            thread.start()
        except RuntimeError:  # A sub-interpreter without daemon threads, or one that is shutting down.
            self._inline = True
            self._publish_inline()
            return
        self._thread = thread

    def _loop(self) -> None:
        wake, done = self._wake, self._done
        timeout: float | None = None
        looked = float("-inf")
        while True:
            wake.wait(timeout)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                self._apply_resets()
                self._follow_clock()
            if self._stopping:
                self.publish()
                done.set()
                return
            recorder = self._recorder
            # Taken back before `dirty` is read: a record after that finds it unset and wakes this thread again.
            urgent, self._urgent = self._urgent, False
            if recorder.dirty or recorder.has_new_spans():
                spacing = RETRY_SECONDS if self._failed else COALESCE_SECONDS if urgent else EVERY_SECONDS
                timeout = self._last + spacing - time.monotonic()
                if timeout <= 0:
                    self.publish()
                    timeout = EVERY_SECONDS
                elif urgent:
                    self._urgent = True  # Until then nothing needs to wake this thread.
                timeout = min(timeout, EVERY_SECONDS)
            else:
                # Budgets may be reset, and sinks do not notify about spans: look once a second while there are any.
                timeout = EVERY_SECONDS if recorder.has_times() or recorder.submitted else None

    def _follow_clock(self) -> None:
        """Publish this process's times again if the clock was set or the host slept."""
        clock = self._recorder.clock
        ahead = clock.time() - clock.monotonic()
        if abs(ahead - self._ahead) > CLOCK_STEP_SECONDS:
            self._ahead = ahead
            self._recorder.clock_was_set({p.name: p.window for p in self._catalogue.personas.values()})

    def _apply_resets(self) -> None:
        numbers = self.store.resets.read()
        seen = self._recorder.resets_seen
        for persona, number in numbers.items():
            if seen.get(persona, 0) < number:
                self._recorder.reset_budget(persona, number)

    def _arm(self) -> None:
        """Publish at the end of a multiprocessing child too: it skips atexit."""
        if self._armed:
            return
        self._armed = True
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
            multiprocessing.Finalize(None, self.finish, exitpriority=0)
            self._every_call = True

    def finish(self) -> None:
        """Close what is open and publish it at exit, within a bounded time."""
        try:
            self._finish()
        finally:
            self._inline = self._ended = True  # From now on each record is published at once.

    def _finish(self) -> None:
        recorder = self._recorder
        deadline = time.monotonic() + EXIT_SECONDS
        recorder.close_implicit()
        if self._publishing.acquire(timeout=EXIT_SECONDS):  # Let a write in progress end.
            self._publishing.release()
        if not recorder.dirty:
            return
        if self._thread is None:
            self._start()
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._stopping = True
            self._wake.ring()
            self._done.wait(max(0.0, deadline - time.monotonic()))
            self._thread = None
            self._stopping = False
            self._done.clear()
        else:
            self.publish()

    def _hold(self) -> None:
        # A fork in the middle of a write would leave the new file's lock with the child for good.
        if self._publishing.acquire(timeout=1.0):
            self._holder = threading.get_ident()

    def _release(self) -> None:
        if self._holder == threading.get_ident():
            self._holder = 0
            self._publishing.release()

    def _after_fork_in_child(self) -> None:
        self._recorder.after_fork_in_child()
        self._writer.after_fork_in_child()
        self._armed = False
        self._begin()
