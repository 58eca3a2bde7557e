"""The content of snapshots as data that can be added up: the exact merge of processes."""

from __future__ import annotations

from collections.abc import Callable

from ..domain.budget_windows import KEEP_WINDOWS_SECONDS, WINDOW_SECONDS, window_start
from ..runtime.light_typing import Any, NamedTuple
from . import snapshot_format
from .snapshot_format import Exemplar, Key, Window

# Two clocks of one host differ by less; a later time was written under a wrong clock.
SKEW_SECONDS = 5.0
# How old such a time counts: older than what a right clock says until the next fold corrects the archive.
CORRECTED_AGE_SECONDS = 60.0


class Malformed(ValueError):
    """A file of the store that no writer of this version produces."""


class Ended(NamedTuple):
    """What the last run of a persona left of its budget; `reset` is the reset it had seen."""

    time: float
    remaining: int
    reset: int


class Limit(NamedTuple):
    """A persona's budget in the configuration of some process."""

    loaded_at: float
    tokens: int
    window: str


class AgentSession(NamedTuple):
    """The state of an agent's session: its last activity, whether it ended, and what it left of budgets.

    `left` has persona, remaining tokens and the reset seen, for budgets of window `run`: an agent's session is one run,
    even if several processes report it.
    """

    seen: float
    ended: bool
    left: tuple[tuple[str, int, int], ...]


class Totals:
    """Sums over any number of processes.

    counters, histograms and `pending` (unresolved spans of sinks) add up; `latest` and `ended` keep the newest value;
    `active` keeps the least of the live runs.
    """

    __slots__ = (
        "active",
        "agent_sessions",
        "counters",
        "ended",
        "exemplars",
        "histograms",
        "latest",
        "limits",
        "open_stages",
        "pending",
        "reserved",
        "windows",
    )

    def __init__(self) -> None:
        self.counters: dict[Key, int] = {}
        self.histograms: dict[Key, list[int]] = {}
        self.exemplars: dict[tuple[Key, int], Exemplar] = {}
        self.latest: dict[Key, int] = {}
        self.open_stages: list[tuple[str, str, float, bool]] = []
        self.pending: dict[str, int] = {}
        self.active: list[tuple[str, int, int]] = []
        self.ended: dict[str, Ended] = {}
        self.windows: dict[Window, int] = {}
        self.reserved: dict[str, int] = {}
        self.limits: dict[str, Limit] = {}
        self.agent_sessions: dict[tuple[str, str], AgentSession] = {}

    @property
    def size(self) -> int:
        """The number of rows of all kinds."""
        return sum(len(getattr(self, part)) for part in self.__slots__)

    def add(self, other: Totals) -> None:
        """Add the counts of another process (or the archive).

        Readers check the cells of known metrics. A row of an unknown metric that has other cells than the one before
        it is left out: it must not cost the other rows of its process.
        """
        counters = self.counters
        for key, value in other.counters.items():
            counters[key] = counters.get(key, 0) + value
        histograms = self.histograms
        unlike = {key for key, cells in other.histograms.items() if not _add_cells(histograms, key, cells)}
        for place, exemplar in other.exemplars.items():
            if place[0] in unlike:
                continue
            known = self.exemplars.get(place)
            if known is None or known[3] < exemplar[3]:
                self.exemplars[place] = exemplar
        for key, value in other.latest.items():
            self.latest[key] = max(self.latest.get(key, 0), value)
        self.open_stages += other.open_stages
        for sink, spans in other.pending.items():
            self.pending[sink] = self.pending.get(sink, 0) + spans
        self.active += other.active
        for persona, ended in other.ended.items():
            if persona not in self.ended or (self.ended[persona].reset, self.ended[persona].time) < (
                ended.reset,
                ended.time,
            ):
                self.ended[persona] = ended
        for window, used in other.windows.items():
            self.windows[window] = self.windows.get(window, 0) + used
        for persona, tokens in other.reserved.items():
            self.reserved[persona] = self.reserved.get(persona, 0) + tokens
        for persona, limit in other.limits.items():
            if persona not in self.limits or self.limits[persona].loaded_at < limit.loaded_at:
                self.limits[persona] = limit
        for name, session in other.agent_sessions.items():
            if name not in self.agent_sessions or self.agent_sessions[name].seen < session.seen:
                self.agent_sessions[name] = session

    def forget_agent_sessions(self, before: float) -> None:
        """Drop the sessions whose last activity was before that time (seconds since the epoch)."""
        self.agent_sessions = {n: session for n, session in self.agent_sessions.items() if session.seen >= before}

    def date_agent_sessions(self, at: float) -> None:
        """Replace the activity of sessions after that time by it: the file that says so was written then.

        With the time of reading instead, such a session would be active for as long as its file is read again.
        """
        if any(session.seen > at + SKEW_SECONDS for session in self.agent_sessions.values()):
            self.agent_sessions = {
                name: session._replace(seen=min(session.seen, at)) for name, session in self.agent_sessions.items()
            }

    def finish(self, at: float) -> None:
        """Account for the end of the process: its runs ended at its last snapshot, its open stages failed their gates,
        and the pending spans of its sinks are lost.
        """
        for persona, remaining, reset in self.active:
            if persona not in self.ended or (self.ended[persona].reset, self.ended[persona].time) <= (reset, at):
                self.ended[persona] = Ended(at, remaining, reset)
        for workflow, stage, _started, gated in self.open_stages:
            if gated:
                key = ("qg", workflow, stage, "fail")
                self.counters[key] = self.counters.get(key, 0) + 1
        for sink, spans in self.pending.items():
            dropped = ("exp", sink, "dropped")
            self.counters[dropped] = self.counters.get(dropped, 0) + spans
        self.active = []
        self.open_stages = []
        self.reserved = {}
        self.pending = {}

    def rename(self, key_of: Callable[[Key], Key | None], value_of: Callable[[str, str], str]) -> None:
        """Replace keys, adding up where two become one; None drops one.

        `value_of(label, value)` does the same for the names of stages, sinks and personas; a persona or sink that
        becomes `other` has no budget and no pending spans.
        """
        renamed = {key: key_of(key) for key in dict.fromkeys((*self.counters, *self.histograms, *self.latest))}
        if any(new is not key for key, new in renamed.items()):
            was = Totals()
            was.counters, was.histograms, was.latest = self.counters, self.histograms, self.latest
            was.exemplars, self.exemplars = self.exemplars, {}
            self.counters, self.histograms, self.latest = {}, {}, {}
            for key, value in was.counters.items():
                new = renamed[key]
                if new is not None:
                    self.counters[new] = self.counters.get(new, 0) + value
            for key, cells in was.histograms.items():
                new = renamed[key]
                if new is not None:
                    _add_cells(self.histograms, new, cells)
            for key, value in was.latest.items():
                new = renamed[key]
                if new is not None:
                    self.latest[new] = max(self.latest.get(new, 0), value)
            for (key, bucket), exemplar in was.exemplars.items():
                new = renamed[key]
                if new is not None and bucket < len(self.histograms.get(new, ())) - 1:
                    self.exemplars[new, bucket] = exemplar
        self.open_stages = [
            (value_of("workflow", w), value_of("stage", s), at, gated) for w, s, at, gated in self.open_stages
        ]
        self.pending = {sink: spans for sink, spans in self.pending.items() if value_of("sink", sink) == sink}
        self.active = [row for row in self.active if value_of("persona", row[0]) == row[0]]
        self.ended = {p: ended for p, ended in self.ended.items() if value_of("persona", p) == p}
        self.windows = {w: used for w, used in self.windows.items() if value_of("persona", w[0]) == w[0]}
        self.reserved = {p: tokens for p, tokens in self.reserved.items() if value_of("persona", p) == p}
        self.limits = {p: limit for p, limit in self.limits.items() if value_of("persona", p) == p}
        self.agent_sessions = {
            name: session._replace(left=tuple(row for row in session.left if value_of("persona", row[0]) == row[0]))
            for name, session in self.agent_sessions.items()
            if value_of("agent", name[0]) == name[0]
        }

    def clamp(self, now: float) -> bool:
        """Replace times in the future, which were written under a clock that was ahead. True if there was one.

        Otherwise such a value would stay the newest for as long as the clock was ahead, and budgets would follow it.
        What the newest of decides (runs that ended, limits) counts as a minute old, so that anything later wins.
        """
        latest = now + SKEW_SECONDS
        corrected = now - CORRECTED_AGE_SECONDS
        newest = int(now) + KEEP_WINDOWS_SECONDS  # resets are numbered by the clock, and may be slightly ahead
        before = self._timed()
        if any(session.seen > latest for session in self.agent_sessions.values()):
            self.agent_sessions = {
                name: session._replace(seen=now) if session.seen > latest else session
                for name, session in self.agent_sessions.items()
            }
        if any(e.time > latest or e.reset > newest for e in self.ended.values()):
            self.ended = {
                p: Ended(corrected if e.time > latest else e.time, e.remaining, min(e.reset, newest))
                for p, e in self.ended.items()
            }
        if any(limit.loaded_at > latest for limit in self.limits.values()):
            self.limits = {
                p: limit._replace(loaded_at=corrected) if limit.loaded_at > latest else limit
                for p, limit in self.limits.items()
            }
        if any(at > latest * 1e6 for at in self.latest.values()):
            self.latest = {key: int(now * 1e6) if at > latest * 1e6 else at for key, at in self.latest.items()}
        if any(stage[2] > latest for stage in self.open_stages):
            self.open_stages = [(w, s, now if at > latest else at, gated) for w, s, at, gated in self.open_stages]
        if any(exemplar[3] > latest for exemplar in self.exemplars.values()):
            self.exemplars = {place: one for place, one in self.exemplars.items() if one[3] <= latest}
        if any(window[1] > latest or window[2] > newest for window in self.windows):
            windows: dict[Window, int] = {}
            for window, used in self.windows.items():
                mine = window[0], self._start(window, now) if window[1] > latest else window[1], min(window[2], newest)
                windows[mine] = windows.get(mine, 0) + used
            self.windows = windows
        return any(one is not other for one, other in zip(before, self._timed(), strict=True))

    def _timed(self) -> tuple[object, ...]:
        return (
            self.ended,
            self.limits,
            self.latest,
            self.open_stages,
            self.windows,
            self.exemplars,
            self.agent_sessions,
        )

    def _start(self, window: Window, now: float) -> int:
        limit = self.limits.get(window[0])
        kind = limit.window if limit is not None and limit.window in WINDOW_SECONDS else None
        return window_start(kind or ("hour" if window[1] % WINDOW_SECONDS["day"] else "day"), now)

    def as_data(self) -> dict[str, Any]:
        """Plain data in the format that `parse` reads."""
        exemplars: dict[Key, dict[int, Exemplar]] = {}
        for (key, bucket), exemplar in self.exemplars.items():
            exemplars.setdefault(key, {})[bucket] = exemplar
        return snapshot_format.rows(
            counters=self.counters,
            histograms=[(key, cells[:-1], cells[-1], exemplars.get(key, {})) for key, cells in self.histograms.items()],
            latest=self.latest,
            open_stages=self.open_stages,
            pending=self.pending,
            active=self.active,
            ended=[(persona, *ended) for persona, ended in self.ended.items()],
            windows=self.windows,
            limits=[(p, limit.tokens, limit.window, limit.loaded_at) for p, limit in self.limits.items()],
            agent_sessions=[(*name, *session) for name, session in self.agent_sessions.items()],
        )


def _add_cells(histograms: dict[Key, list[int]], key: Key, cells: list[int]) -> bool:
    """Add the cells of one histogram. Returns False and adds nothing if the key has a different number of buckets."""
    mine = histograms.get(key)
    if mine is not None and len(mine) != len(cells):
        return False
    histograms[key] = cells[:] if mine is None else [a + b for a, b in zip(mine, cells, strict=True)]
    return True
