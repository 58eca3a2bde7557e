"""The numbers of one process: counters, histograms, work in progress and budget use, under one lock.

Plain integers, because a record must not cost more than a counter of the Prometheus client. The client itself is
loaded only where metrics are exposed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from ..domain.budget_windows import KEEP_WINDOWS_SECONDS, WINDOW_SECONDS, window_start
from ..domain.instruments import (
    BUDGET_EXCEEDED,
    BY_KEY,
    DURATION_BUCKETS,
    EXPORT_OUTCOMES,
    EXPORT_SPANS,
    PERSONA_DURATION,
    SWITCHES,
    TOKENS,
)
from ..domain.personas import Persona
from ..runtime.light_typing import Any, NamedTuple
from ..store import snapshot_format
from ..store.snapshot_format import Key, Limit
from .cells import Clock, Counter, Exemplar, Histogram, OpenStage, StageCells
from .runs import Account, Run, Session
from .written import Unusual, Written, figure

# A recorder has no sessions of agents.
_MEMBERS = ",".join([f'"{key}":%s' for key in (snapshot_format.TAKEN, *snapshot_format.PARTS[:-1])]) + (
    f',"{snapshot_format.AGENT_SESSIONS}":[]'
)


class _State(NamedTuple):
    """Rows of a snapshot, in the units and order of `snapshot_format`."""

    now: float
    reserved: list[tuple[str, int]]
    latest: dict[Key, int]
    open_stages: list[OpenStage]
    pending: list[tuple[str, int]]
    active: list[tuple[str, int, int]]
    ended: list[tuple[str, float, int, int]]
    windows: list[tuple[str, int, int, int]]


class Recorder:
    """The counts of one process since it started or was forked."""

    def __init__(self, clock: Clock | None = None, own_ledger: bool = False) -> None:
        self.clock = clock or Clock()
        # With a store, hour and day budgets are the host's: the process that folds counts overspent windows.
        self._own_ledger = own_ledger
        self.on_dirty: Callable[[], None] | None = None
        # How many spans each sink got; after a fork the same sinks continue, with counts from 0.
        self.submitted: dict[str, Callable[[], int]] = {}
        self._begin()

    def _begin(self) -> None:
        # Re-entrant: a signal handler, or a generator closed by the garbage collector, may record meanwhile.
        self.lock = threading.RLock()
        self.epoch = object()
        self.dirty = False
        self._published_spans = 0
        self.counters: dict[Key, Counter] = {}
        self.histograms: dict[Key, Histogram] = {}
        self.latest: dict[Key, int] = {}
        self.open_stages: dict[int, OpenStage] = {}
        self.runs: dict[str, Run] = {}
        self.ended: dict[str, tuple[float, int]] = {}
        self.windows: dict[tuple[str, int, int], int] = {}
        self.resets_seen: dict[str, int] = {}
        # What calls in flight may still use, by run ("" for a window of the host) and persona.
        self.reserved: dict[tuple[str, str], int] = {}
        self.largest_call: dict[str, int] = {}
        self.implicit = Run(self.epoch, None, None, self.clock.monotonic())
        # Caches for every record; kept here because a fork must drop them together with the counters.
        self.token_cells: dict[tuple[str, str, str], tuple[Counter, Persona]] = {}
        self.stage_cells: dict[tuple[str, str, str], StageCells] = {}
        self._outcomes: dict[str, list[Counter]] = {}
        self._pieces = Written()

    def set_latest(self, value: int, *key: str) -> None:
        """Set a value of which only the newest counts; marks the recorder as dirty."""
        with self.lock:
            self.latest[key] = max(value, self.latest.get(key, 0))
        self.touch()

    def renew_lock(self) -> None:
        """In a forked child: the thread that held the lock doesn't exist there."""
        self.lock = threading.RLock()

    def after_fork_in_child(self) -> None:
        """Start at zero with new locks: a forked child is a new process."""
        self._begin()

    def touch(self) -> None:
        """Mark the recorder as dirty: there is something to publish."""
        self.dirty = True
        if self.on_dirty is not None:
            self.on_dirty()

    def has_new_spans(self) -> bool:
        """Whether a sink got spans since the last snapshot; polled, because a notification would cost every span."""
        return sum(submitted() for submitted in self.submitted.values()) != self._published_spans

    def counter(self, *key: str) -> Counter:
        """The counter with that key (metric key, then label values), created at 0."""
        found = self.counters.get(key)
        if found is None:
            with self.lock:
                found = self.counters.setdefault(key, Counter())
        return found

    def histogram(self, *key: str) -> Histogram:
        """The histogram with that key (metric key, then label values), created empty."""
        found = self.histograms.get(key)
        if found is None:
            bounds = BY_KEY[key[0]].buckets or DURATION_BUCKETS
            with self.lock:
                found = self.histograms.setdefault(key, Histogram(bounds))
        return found

    def add(self, amount: int, *key: str) -> None:
        """Add to a counter; marks the recorder as dirty."""
        counter = self.counter(*key)
        with self.lock:
            counter.value += amount
        self.touch()

    # Budgets

    def run_of(self, run: Run | None) -> Run:
        """`run` if it belongs to this recorder and process, else the implicit run."""
        return run if run is not None and run.owner is self.epoch else self.implicit

    def account(self, run: Run, persona: Persona) -> Account:
        """The account of a persona in a run, opened on first use; the caller holds the lock."""
        found = run.accounts.get(persona.name)
        if found is None:
            found = run.accounts[persona.name] = Account(persona, run.workflow)
            if run is self.implicit:
                self.runs[run.id] = run
        return found

    def spend(self, run: Run, persona: Persona, tokens: int) -> None:
        """Debit a budget; counts the first overspend of its window."""
        with self.lock:
            if persona.window != "run":
                window = (
                    persona.name,
                    window_start(persona.window, self.clock.time()),
                    self.resets_seen.get(persona.name, 0),
                )
                first = self._debit_window(window, persona.tokens, tokens) and self._own_ledger
            else:
                first = self.account(run, persona).debit(tokens)
        if first:
            self.count_exceeded(persona.name)

    def count_exceeded(self, persona: str) -> None:
        """Count a budget window that has just been overspent."""
        self.add(1, BUDGET_EXCEEDED.key, persona)

    def _debit_window(self, window: tuple[str, int, int], limit: int, tokens: int) -> bool:
        """Debit a window; True if this overspends it."""
        before = self.windows.get(window)
        if before is None:
            oldest = window[1] - KEEP_WINDOWS_SECONDS
            for past in [w for w in self.windows if w[1] < oldest]:
                del self.windows[past]
            before = 0
        self.windows[window] = before + tokens
        return before <= limit < before + tokens

    def open_run(self, workflow: str, chatmode: str | None) -> Run:
        """A new run of this process; `close_run` ends it."""
        run = Run(self.epoch, workflow, chatmode, self.clock.monotonic())
        with self.lock:
            self.runs[run.id] = run
        return run

    def close_run(self, run: Run) -> None:
        """End a run; the rest of each budget is shown for 15 minutes, or until another run."""
        with self.lock:
            if self.runs.pop(run.id, None) is None:
                return
            run.owner = None  # Code that still works for it no longer belongs to a run.
            now = self.clock.monotonic()
            for name, account in run.accounts.items():
                if account.used and not account.windowed:
                    self.ended[name] = (now, account.remaining)
        self.touch()

    def switch(self, run: Run, origin: str | None, to: str, chatmode: str, explicit: bool = False) -> None:
        """Make `to` the run's active persona; close the session before it and count the switch.

        `origin` None means the persona that is active now. `explicit` marks a switch that the program requested, as
        opposed to one by entering a stage. Does nothing if persona and chatmode are already active.
        """
        with self.lock:
            session = run.session
            active = session.persona if session is not None else "none"
            if origin is None:
                origin = active
            if origin == to and session is not None and active == to and session.chatmode == chatmode:
                return
            now = self.clock.monotonic()
            run.session = Session(to, chatmode, now, explicit)
        if session is not None:
            self.observe_session(session.persona, session.chatmode, now - session.started)
        if origin != to:
            self.add(1, SWITCHES.key, origin, to, chatmode)

    def end_session(self, run: Run) -> None:
        """Record the time in the active persona, under the chatmode of the ending session."""
        if run.owner is not self.epoch:
            return  # Forked in the middle of the run: the parent records the session.
        with self.lock:
            session, run.session = run.session, None
        if session is not None:
            self.observe_session(session.persona, session.chatmode, self.clock.monotonic() - session.started)

    def observe_session(self, persona: str, chatmode: str, seconds: float) -> None:
        """Record the duration of a session that has ended."""
        histogram = self.histogram(PERSONA_DURATION.key, persona, chatmode)
        exemplar = self.exemplar(seconds)
        with self.lock:
            histogram.observe(max(seconds, 0.0), exemplar)
        self.touch()

    def has_times(self) -> bool:
        """Whether a snapshot of this process contains times, or windows of the clock."""
        return bool(self.runs or self.ended or self.windows or self.open_stages)

    def clock_was_set(self, window_of: dict[str, str]) -> None:
        """After the clock was set back: move use in future windows to the current one; marks the recorder as dirty."""
        now = self.clock.time()
        with self.lock:
            for window, used in list(self.windows.items()):
                kind = window_of.get(window[0])
                if window[1] > now and kind in WINDOW_SECONDS:
                    current = (window[0], window_start(kind, now), window[2])
                    del self.windows[window]
                    self.windows[current] = self.windows.get(current, 0) + used
        self.touch()

    def close_implicit(self) -> None:
        """At exit: close the session and the implicit run."""
        self.end_session(self.implicit)
        self.close_run(self.implicit)

    def exemplar(self, value: float) -> Exemplar | None:
        """The active trace as an exemplar, or None; OpenTelemetry is asked only if it is loaded."""
        trace = sys.modules.get("opentelemetry.trace")
        if trace is None:
            return None
        span = trace.get_current_span().get_span_context()
        if not span.is_valid or not span.trace_flags.sampled:
            return None
        return Exemplar(span.trace_id, span.span_id, value, self.clock.time())

    def reset_budget(self, persona: str, reset: int | None = None) -> None:
        """Refill every window of that persona; `reset` is the host-wide number of the reset."""
        with self.lock:
            if reset is not None:
                self.resets_seen[persona] = reset
            for run in self.runs.values():
                account = run.accounts.get(persona)
                if account is not None:
                    account.refill()
            self.ended.pop(persona, None)
            if reset is None:
                for window in [w for w in self.windows if w[0] == persona]:
                    del self.windows[window]
        self.touch()

    # Snapshots

    def _resolved(self, sink: str) -> int:
        """How many of a sink's spans have an outcome."""
        outcomes = self._outcomes.get(sink)
        if outcomes is None:
            found = [self.counters.get((EXPORT_SPANS.key, sink, outcome)) for outcome in EXPORT_OUTCOMES]
            outcomes = [counter for counter in found if counter is not None]
            if len(outcomes) == len(found):
                self._outcomes[sink] = outcomes
        return sum([counter.value for counter in outcomes])

    def snapshot(self, personas: dict[str, Persona], loaded_at: float) -> dict[str, Any]:
        """All counts as plain data for the store; marks the recorder as clean."""
        with self.lock:
            state = self._state()
            counters, histograms = self.counters, self.histograms
            names = list(counters)
            return {
                snapshot_format.TAKEN: state.now,
                snapshot_format.RESERVED: [list(row) for row in state.reserved],
                **snapshot_format.rows(
                    counters={key: counters[key].value for key in names},
                    histograms=[
                        (
                            key,
                            histograms[key].buckets[:],
                            histograms[key].sum,
                            {bucket: one.written() for bucket, one in histograms[key].exemplars.copy().items()},
                        )
                        for key in list(histograms)
                    ],
                    latest=state.latest,
                    open_stages=state.open_stages,
                    pending=dict(state.pending),
                    active=state.active,
                    ended=state.ended,
                    windows={row[:3]: row[3] for row in state.windows},
                    limits=self._limits(personas, loaded_at),
                ),
            }

    def written(self, personas: dict[str, Persona], loaded_at: float) -> str:
        """A snapshot as `snapshot_format.members`, in a third of the time."""
        with self.lock:
            try:
                return self._written(personas, loaded_at)
            except Unusual:
                return snapshot_format.members(self.snapshot(personas, loaded_at))

    def _written(self, personas: dict[str, Persona], loaded_at: float) -> str:
        pieces, counters = self._pieces, self.counters
        now, reserved, latest, stages, pending, active, ended, windows = self._state()
        # Most snapshots have no rows of most kinds.
        return _MEMBERS % (
            figure(now),
            pieces.counters(counters),
            pieces.histograms(self.histograms),
            pieces.latest(latest) if latest else "[]",
            pieces.rows(stages) if stages else "[]",
            pieces.named(pending) if pending else "[]",
            pieces.named(active) if active else "[]",
            pieces.rows(ended) if ended else "[]",
            pieces.rows(windows) if windows else "[]",
            pieces.named(reserved) if reserved else "[]",
            pieces.limits(personas, loaded_at, len(counters), self._limits),
        )

    def _limits(self, personas: dict[str, Persona], loaded_at: float) -> list[Limit]:
        """A default is included once it is used: it may replace a configuration that was removed."""
        used = {key[1] for key in list(self.counters) if key[0] == TOKENS.key}
        return [
            (p.name, p.tokens, p.window, loaded_at)
            for p in personas.values()
            if p.source != "package" or p.name in used
        ]

    def _state(self) -> _State:
        """What both forms of a snapshot tell beside counters, histograms and limits; the caller holds the lock."""
        self.dirty = False
        now = self.clock.time()
        # Ages use the monotonic clock: setting the clock or suspending the host makes nothing older than it is.
        since = now - self.clock.monotonic()
        resets = self.resets_seen
        active: dict[str, int] = {}
        # Copy names and values first: a record may interrupt this, see `lock`.
        for run in list(self.runs.values()):
            for account in list(run.accounts.values()):
                if not account.windowed:
                    name, left = account.persona.name, account.limit - account.used
                    active[name] = min(active.get(name, left), left)
        pending = []
        if self.submitted:
            self._published_spans = 0
            for sink, submitted in list(self.submitted.items()):
                # Read resolved before submitted: a span is never resolved before it is submitted.
                resolved = self._resolved(sink)
                spans = submitted()
                self._published_spans += spans
                if spans > resolved:
                    pending.append((sink, spans - resolved))
        stages, ended, reserved, windows = self.open_stages, self.ended, self.reserved, self.windows
        made = (
            now,
            [(key[1], tokens) for key, tokens in list(reserved.items()) if not key[0]] if reserved else (),
            self.latest.copy(),
            [one._replace(started=one.started + since) for one in list(stages.values())] if stages else (),
            pending,
            [(name, left, resets.get(name, 0)) for name, left in active.items()],
            [(name, one[0] + since, one[1], resets.get(name, 0)) for name, one in ended.copy().items()]
            if ended
            else (),
            [(*window, used) for window, used in windows.copy().items()] if windows else (),
        )
        return tuple.__new__(_State, made)
