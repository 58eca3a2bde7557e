"""What snapshots say, as data that can be added up: the exact merge of processes."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..domain.instruments import BY_KEY
from ..domain.personas import WINDOWS
from . import snapshot_format
from .snapshot_format import VERSION, VERSION_KEY, Exemplar, Key, Window, newest

# No honest count comes near it, and a float can hold it: one damaged file must not stop every scrape.
MAX_COUNT = 2**63


class Malformed(ValueError):
    """A file of the store that is not what a writer of this version makes."""


class ForeignVersion(Malformed):
    """A whole file, but one that another version of this package has written."""


class Ended(NamedTuple):
    """What the last run of a persona left of its budget; `reset` is the reset it had seen."""

    time: float
    remaining: int
    reset: int


class Limit(NamedTuple):
    """A persona's budget as some process's configuration had it."""

    loaded_at: float
    tokens: int
    window: str


class AgentSession(NamedTuple):
    """What is known of an agent's session: when it was last heard of, whether it ended, and what it left of budgets.

    `left` has persona, remaining tokens and the reset that it had seen, for budgets of window `run`: an agent's
    session is one run, whichever processes tell of it.
    """

    seen: float
    ended: bool
    left: tuple[tuple[str, int, int], ...]


class Totals:
    """Sums over any number of processes.

    counters, histograms and `pending` (spans that sinks have not resolved) add up; `latest` and `ended` keep the
    newest; `active` keeps the least of the live.
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

    def add(self, other: Totals) -> None:
        """Add what another process (or the archive) has counted. Raises Malformed before anything is added."""
        for key, cells in other.histograms.items():
            if len(self.histograms.get(key, cells)) != len(cells):
                raise Malformed(f"histogram {key!r} has {len(cells)} cells, expected {len(self.histograms[key])}")
        counters = self.counters
        for key, value in other.counters.items():
            counters[key] = counters.get(key, 0) + value
        histograms = self.histograms
        for key, cells in other.histograms.items():
            mine = histograms.get(key)
            histograms[key] = cells[:] if mine is None else [a + b for a, b in zip(mine, cells, strict=True)]
        for place, exemplar in other.exemplars.items():
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
        """Drop the sessions that were last heard of before that time (seconds since the epoch)."""
        self.agent_sessions = {n: session for n, session in self.agent_sessions.items() if session.seen >= before}

    def finish(self, at: float) -> None:
        """The process is no more: its runs ended at its last snapshot, its open stages failed their gates, and the
        spans that its sinks still had are lost.
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

    def as_data(self) -> dict[str, Any]:
        """Plain data of the shape that `parse` reads."""
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


def parse(raw: bytes) -> tuple[Totals, dict[str, Any]]:
    """The totals in a snapshot file, and the other fields. Raises Malformed."""
    try:
        data = json.loads(newest(raw))
        if not isinstance(data, dict) or data.get(VERSION_KEY).__class__ is not int:
            raise Malformed("not an object with a version")
        if data[VERSION_KEY] != VERSION:
            raise ForeignVersion(f"its format is {data['v']}, expected {VERSION}")
        return from_data(data), data
    except Malformed:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


def _count(value: Any) -> int:
    if value.__class__ is not int or not 0 <= value <= MAX_COUNT:
        raise Malformed(f"{value!r:.60} is no count")
    return int(value)


def _left(value: Any) -> int:
    if value.__class__ is not int or not -MAX_COUNT <= value <= MAX_COUNT:
        raise Malformed(f"{value!r:.60} is no number of tokens")
    return int(value)


def _time(value: Any) -> float:
    if value.__class__ not in (int, float) or not 0 <= value < 1e12:
        raise Malformed(f"{value!r:.60} is no time in seconds since the epoch")
    return float(value)


def _text(value: Any) -> str:
    if value.__class__ is not str or not value:
        raise Malformed(f"{value!r:.60} is no label value")
    value.encode()  # UnicodeEncodeError, a ValueError, where it could not be exposed
    return str(value)


def _key(parts: list[Any]) -> Key:
    known = BY_KEY.get(parts[0])
    if known is not None and len(parts) != len(known.labels) + 1:
        raise Malformed(f"{known.name} has {len(parts) - 1} labels, expected {len(known.labels)}")
    return tuple(map(_text, parts))


def from_data(data: dict[str, Any]) -> Totals:
    """The totals in a recorder's snapshot."""
    totals = Totals()
    for *key, value in data[snapshot_format.COUNTERS]:
        totals.counters[_key(key)] = _count(value)
    for *key, buckets, total, exemplars in data[snapshot_format.HISTOGRAMS]:
        name = _key(key)
        totals.histograms[name] = [*map(_count, buckets), _count(total)]
        known = BY_KEY.get(name[0])
        if known is not None and len(buckets) != len(known.buckets) + 1:
            raise Malformed(f"{known.name} has {len(buckets)} buckets, expected {len(known.buckets) + 1}")
        for bucket, (trace_id, span_id, value, at) in exemplars.items():
            if len(trace_id) != 32 or len(span_id) != 16:
                raise Malformed(f"{trace_id!r:.60} and {span_id!r:.60} are no trace and span")
            totals.exemplars[name, int(bucket)] = (_text(trace_id), _text(span_id), _time(value), _time(at))
    for *key, value in data[snapshot_format.LATEST]:
        totals.latest[_key(key)] = _count(value)
    totals.open_stages = [
        (_text(w), _text(s), _time(at), gated is True) for w, s, at, gated in data[snapshot_format.OPEN_STAGES]
    ]
    # Not in the files of versions that did not follow spans.
    totals.pending = {_text(sink): _count(spans) for sink, spans in data.get(snapshot_format.PENDING, ())}
    totals.active = [(_text(p), _left(left), _count(reset)) for p, left, reset in data[snapshot_format.ACTIVE]]
    totals.ended = {
        _text(p): Ended(_time(at), _left(left), _count(reset)) for p, at, left, reset in data[snapshot_format.ENDED]
    }
    totals.windows = {
        (_text(p), _count(start), _count(reset)): _count(used)
        for p, start, reset, used in data[snapshot_format.WINDOWS]
    }
    totals.reserved = {_text(p): _count(tokens) for p, tokens in data.get(snapshot_format.RESERVED, ())}
    for persona, tokens, window, at in data[snapshot_format.LIMITS]:
        if window not in WINDOWS:
            raise Malformed(f"{window!r:.60} is no budget window")
        totals.limits[_text(persona)] = Limit(_time(at), _count(tokens), window)
    # Not in the files of versions that did not follow agents.
    for agent, session, seen, ended, left in data.get(snapshot_format.AGENT_SESSIONS, ()):
        totals.agent_sessions[_text(agent), _text(session)] = AgentSession(
            _time(seen), ended is True, tuple((_text(p), _left(tokens), _count(reset)) for p, tokens, reset in left)
        )
    return totals
