"""The base of every sink: a bounded queue, one background thread, exact counting, a breaker and a bounded exit.

A subclass (OTLP, Langfuse) only defines how a batch is sent: see `SpanSink.send`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple

from ..runtime.logs import INFO, WARNING, StateLog
from .breaker import CircuitBreaker

QUEUE_LIMIT = 2048
BATCH_LIMIT = 512
DELAY = 1.0
RETRY_PAUSE = 0.5
# All sinks together, out of the 0.5 s that the package may hold a process at its exit.
EXIT_SECONDS = 0.45
# More interrupts than a person types while a process ends.
_INTERRUPTIONS = 10

Count = Callable[[str, int], None]


class Outcome(Enum):
    """What became of a batch."""

    SENT = "sent"
    REFUSED = "refused"  # permanently: the same bytes would be refused again
    LATER = "later"  # temporarily: unreachable, overloaded or too slow


class Verdict(NamedTuple):
    """The outcome of one attempt, its reason, the pause that the server asked for, and how many spans it rejected."""

    outcome: Outcome
    reason: str = ""
    retry_after: float = 0.0
    rejected: int = 0


class SpanSink(ABC):
    """Takes ended spans without ever blocking or raising, and counts each exactly once.

    `count(outcome, spans)` gets `success`, `failure` (sent and refused permanently) or `dropped` (never sent, or
    unresolved at exit). A retry counts nothing.
    """

    def __init__(self, name: str, count: Count, breaker: Callable[[], CircuitBreaker] = CircuitBreaker) -> None:
        self.name = name
        self._count = count
        self._new_breaker = breaker
        self._begin()
        _sinks.add(self)

    def _begin(self) -> None:
        # A forked child makes everything with a lock anew: another thread may have held it at the fork.
        self.submitted = 0
        self._breaker = self._new_breaker()
        self._state = StateLog()
        # Re-entrant: a signal handler, or a generator closed by the garbage collector, may end a span meanwhile.
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._queue: deque[Any] = deque()
        self._in_flight: list[Any] = []
        self._thread: threading.Thread | None = None
        self._closing = False
        self._closed = False
        self._flush_asked = False
        self._ready = threading.Event()

    @abstractmethod
    def send(self, batch: list[Any]) -> Verdict:
        """Send one batch, once, in the sink's own thread. An exception is a failed attempt."""

    @abstractmethod
    def reset(self) -> None:
        """Forget connections; called in a forked child, where they belong to the parent."""

    def start(self) -> None:
        """Start the thread now, so that it imports what sending needs while the caller works."""
        with self._condition:
            self._start_locked()

    def submit(self, span: Any) -> None:
        """Queue one ended span; drops it (counted) when the queue is full, the circuit open or the sink closed."""
        with self._lock:  # The condition's lock; entering the condition costs twice as much.
            self.submitted += 1
            queue = self._queue
            waiting = len(queue)
            if not (self._closing or waiting >= QUEUE_LIMIT or self._breaker.is_open) and (
                self._thread is not None or self._start_locked()
            ):
                queue.append(span)
                if waiting in (0, BATCH_LIMIT - 1):
                    self._condition.notify_all()
                return
        self._count("dropped", 1)

    def flush(self, timeout: float) -> bool:
        """Send what is queued now; returns whether all of it was resolved within `timeout` seconds."""
        with self._condition:
            self._flush_asked = bool(self._queue)
            self._condition.notify_all()
            return self._condition.wait_for(lambda: not self._queue and not self._in_flight, timeout)

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until the thread is ready to send; for programs that end right after their first span."""
        if self._thread is not None:
            self._ready.wait(timeout)

    def ask_to_close(self) -> None:
        """Accept no more spans; the thread makes one last attempt with what it has."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()

    def close(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic seconds) for the rest to be sent, then count what is left as dropped."""
        if self._closed:
            return
        self.ask_to_close()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._condition:
            unresolved = len(self._queue) + len(self._in_flight)
            self._queue.clear()
            self._in_flight = []
            self._closed = True
            self._condition.notify_all()
        if unresolved:
            self._count("dropped", unresolved)
            self._state.change(
                "failing", WARNING, f"{self.name}: {unresolved} spans were not delivered before the process ended"
            )

    def after_fork_in_child(self) -> None:
        """Start with empty queues: the parent sends what it queued."""
        self._begin()
        self.reset()

    def _start_locked(self) -> bool:
        if sys.is_finalizing():  # before Python 3.12 a thread that is started now never runs, and start() waits for it
            return False
        if self._thread is None:
            try:
                self._thread = threading.Thread(target=self._work, name=f"hypertool-{self.name}", daemon=True)
                self._thread.start()
            except (
                RuntimeError
            ):  # The interpreter is shutting down or has no daemon threads, or the limit on threads is reached.
                self._thread = None
                return False
            _close_with_multiprocessing()
        return True

    # The background thread

    def _work(self) -> None:
        with contextlib.suppress(Exception):  # The thread must survive; sending fails and reports it.
            self.prepare()
        self._ready.set()
        while (batch := self._next_batch()) is not None:
            self._deliver(batch)

    @abstractmethod
    def prepare(self) -> None:
        """Load what sending needs, in the sink's own thread before the first batch."""

    def _next_batch(self) -> list[Any] | None:
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            self._condition.wait_for(
                lambda: self._closing or self._flush_asked or len(self._queue) >= BATCH_LIMIT, DELAY
            )
            batch = [self._queue.popleft() for _ in range(min(BATCH_LIMIT, len(self._queue)))]
            self._in_flight = batch
            self._flush_asked = self._flush_asked and bool(self._queue)
            return batch or None

    def _deliver(self, batch: list[Any]) -> None:
        while self._may_try():
            verdict = self._try(batch)
            self._note(verdict)
            if verdict.outcome is not Outcome.LATER:
                self._resolve(batch, verdict)
                return
            if not self._breaker.is_open:
                self._sleep(max(RETRY_PAUSE, verdict.retry_after))
            if self._closing:
                break  # No time for another attempt.
        self._give_up()

    def _may_try(self) -> bool:
        """Wait until the circuit is not open; False when the process ends before that."""
        while self._breaker.is_open:
            self._sleep(self._breaker.seconds_left())
            if self._closing and self._breaker.is_open:
                return False
        return True

    def _sleep(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._closing, seconds)

    def _try(self, batch: list[Any]) -> Verdict:
        try:
            return self.send(batch)
        except Exception as error:  # The thread must survive any exception; `_note` logs it.
            return Verdict(Outcome.REFUSED, f"{type(error).__name__}: {error}")

    def _note(self, verdict: Verdict) -> None:
        if verdict.outcome is Outcome.SENT:
            self._breaker.success()
            if verdict.rejected:
                self._state.change("partial", WARNING, f"{self.name}: {verdict.reason}")
            else:
                self._state.change("ok", INFO, f"{self.name}: spans are accepted again")
            return
        self._breaker.failure(verdict.retry_after)
        self._state.change(
            "failing",
            WARNING,
            f"{self.name}: {verdict.reason}; spans are counted as dropped or failed until it works again (logged once)",
        )

    def _resolve(self, batch: list[Any], verdict: Verdict) -> None:
        with self._condition:
            if self._closed:
                return
            self._in_flight = []
            self._condition.notify_all()
            rejected = len(batch) if verdict.outcome is Outcome.REFUSED else min(verdict.rejected, len(batch))
            # Counted before the lock is released, so that a caller of flush() reads the new numbers.
            if len(batch) - rejected:
                self._count("success", len(batch) - rejected)
            if rejected:
                self._count("failure", rejected)

    def _give_up(self) -> None:
        with self._condition:
            if self._closed:
                return
            unresolved = len(self._queue) + len(self._in_flight)
            self._queue.clear()
            self._in_flight = []
            self._condition.notify_all()
            if unresolved:
                self._count("dropped", unresolved)


_sinks: weakref.WeakSet[SpanSink] = weakref.WeakSet()


def close_all(sinks: Iterable[SpanSink] | None = None, seconds: float = EXIT_SECONDS) -> None:
    """Close all sinks within `seconds` in total; runs at exit, before the store's last snapshot."""
    deadline = time.monotonic() + seconds
    chosen = list(_sinks if sinks is None else sinks)
    for _ in range(_INTERRUPTIONS):
        try:
            for sink in chosen:
                sink.ask_to_close()
            for sink in chosen:
                sink.close(deadline)
            return
        except BaseException:  # Interrupted again: stop waiting, still count the rest.
            deadline = 0.0


def _after_fork_in_child() -> None:
    for sink in list(_sinks):
        sink.after_fork_in_child()


def close_at_exit() -> None:
    """Register `close_all` once, after the collector has registered: exit hooks run in reverse order."""
    atexit.unregister(close_all)
    for _ in range(2):  # Twice: an interrupt at the first instruction of one run leaves the work to the other.
        atexit.register(close_all)


def _close_with_multiprocessing() -> None:
    """A multiprocessing child skips atexit. Its finalizers run by falling priority; the store's has priority 0."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
        util.Finalize(None, close_all, exitpriority=10)


os.register_at_fork(after_in_child=_after_fork_in_child)
