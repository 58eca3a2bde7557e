"""Reads a snapshot or an archive: checks every value before anything is added up.

Another user may have written a snapshot, so it is not trusted: counts and times have ranges, and the number of rows
has a limit. A single value out of range makes the whole file Malformed, because an honest writer would not produce it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..domain.instruments import BY_KEY
from ..domain.personas import WINDOWS
from . import snapshot_format as rows
from .snapshot_format import VERSION, VERSION_KEY, Exemplar, Key, newest
from .totals import AgentSession, Ended, Limit, Malformed, Totals

MAX_TIME = 1e12
MAX_PERSONAS_OF_A_SESSION = 256
MAX_SESSION_NAME = 256
_HEX = re.compile(r"[0-9a-f]+")


class ForeignVersion(Malformed):
    """An intact file written by another version of this package."""


class Bounds(NamedTuple):
    """Limits for one file: the highest count (`most`), and the number of rows."""

    most: int
    rows: int


# A process that counts a million tokens (or microseconds) every second reaches the limit in 30 years; sums of such
# files stay far below the archive's limit, whatever files are put into the store.
SNAPSHOT = Bounds(10**15, 5_000)
# For the service's own file. A float can represent the count exactly, so that it can be exposed.
ARCHIVE = Bounds(10**30, 10**6)
# For the newest of timestamps in microseconds, not a count.
_MAX_LATEST = 10**18


def parse(raw: bytes, bounds: Bounds = SNAPSHOT) -> tuple[Totals, dict[str, Any]]:
    """The totals in a file, and its other fields. Raises Malformed."""
    try:
        data = json.loads(newest(raw))
        if not isinstance(data, dict) or data.get(VERSION_KEY).__class__ is not int:
            raise Malformed("not an object with a version")
        if data[VERSION_KEY] != VERSION:
            raise ForeignVersion(f"its format is {data[VERSION_KEY]!r:.20}, expected {VERSION}")
        return from_data(data, bounds), data
    except Malformed:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise Malformed(f"{type(error).__name__}: {error!s:.200}") from None


def count(value: Any, most: int = SNAPSHOT.most) -> int:
    """A count from 0 to `most`. Raises Malformed."""
    if value.__class__ is not int or not 0 <= value <= most:
        raise Malformed(f"{_shown(value)} is no count")
    return int(value)


def moment(value: Any) -> float:
    """Seconds since the epoch. Raises Malformed, also for NaN."""
    if value.__class__ not in (int, float) or not 0 <= value < MAX_TIME:
        raise Malformed(f"{_shown(value)} is no time in seconds since the epoch")
    return float(value)


def text(value: Any) -> str:
    """A label value that can be exposed. Raises Malformed."""
    if value.__class__ is not str or not value:
        raise Malformed(f"{_shown(value)} is no label value")
    value.encode()  # UnicodeEncodeError is a ValueError
    return str(value)


def _shown(value: Any) -> str:
    if value.__class__ is int and value.bit_length() > 200:
        return "a number of more than 60 digits"  # formatting it takes time quadratic in its length
    return f"{value!r:.60}" if value.__class__ in (int, float, str, bool) else type(value).__name__


def _left(value: Any, most: int) -> int:
    if value.__class__ is not int or not -most <= value <= most:
        raise Malformed(f"{_shown(value)} is no number of tokens")
    return int(value)


def _key(parts: list[Any]) -> Key:
    known = BY_KEY.get(parts[0])
    if known is not None and len(parts) != len(known.labels) + 1:
        raise Malformed(f"{known.name} has {len(parts) - 1} labels, expected {len(known.labels)}")
    if known is None and len(parts) > 8:
        raise Malformed(f"a metric has {len(parts) - 1} labels")
    return tuple(map(text, parts))


def _exemplar(row: Any) -> Exemplar:
    trace_id, span_id, value, at = row
    if (
        len(trace_id) != 32
        or len(span_id) != 16
        or not _HEX.fullmatch(text(trace_id))
        or not _HEX.fullmatch(text(span_id))
    ):
        raise Malformed("an exemplar without a trace and a span")
    return trace_id, span_id, moment(value), moment(at)


def from_data(data: dict[str, Any], bounds: Bounds = SNAPSHOT) -> Totals:
    """The totals in a recorder's snapshot. Raises Malformed, or type errors, which `parse` turns into Malformed."""
    parts = [data.get(key, ()) for key in rows.PARTS]
    if sum(map(len, parts)) > bounds.rows:
        raise Malformed(f"it has more than {bounds.rows} rows")
    totals = Totals()
    if rows.TAKEN in data:
        moment(data[rows.TAKEN])
    for *key, value in data[rows.COUNTERS]:
        totals.counters[_key(key)] = count(value, bounds.most)
    for *key, buckets, total, exemplars in data[rows.HISTOGRAMS]:
        name = _key(key)
        known = BY_KEY.get(name[0])
        if len(buckets) > 64 or (known is not None and len(buckets) != len(known.buckets) + 1):
            raise Malformed(f"the histogram {name[0]!r:.20} has {len(buckets)} buckets")
        totals.histograms[name] = [*(count(bucket, bounds.most) for bucket in buckets), count(total, bounds.most)]
        for bucket, exemplar in exemplars.items():
            if not 0 <= int(bucket) < len(buckets):
                raise Malformed("an exemplar of no bucket")
            totals.exemplars[name, int(bucket)] = _exemplar(exemplar)
    for *key, value in data[rows.LATEST]:
        totals.latest[_key(key)] = count(value, _MAX_LATEST)
    totals.open_stages = [(text(w), text(s), moment(at), gated is True) for w, s, at, gated in data[rows.OPEN_STAGES]]
    # Absent in files of versions that did not count pending spans.
    totals.pending = {text(sink): count(spans, bounds.most) for sink, spans in data.get(rows.PENDING, ())}
    totals.active = [
        (text(p), _left(left, bounds.most), count(reset, bounds.most)) for p, left, reset in data[rows.ACTIVE]
    ]
    totals.ended = {
        text(p): Ended(moment(at), _left(left, bounds.most), count(reset, bounds.most))
        for p, at, left, reset in data[rows.ENDED]
    }
    for p, start, reset, used in data[rows.WINDOWS]:
        totals.windows[text(p), count(start, int(MAX_TIME)), count(reset, bounds.most)] = count(used, bounds.most)
    totals.reserved = {text(p): count(tokens, bounds.most) for p, tokens in data.get(rows.RESERVED, ())}
    for persona, tokens, window, at in data[rows.LIMITS]:
        if window not in WINDOWS:
            raise Malformed(f"{_shown(window)} is no budget window")
        totals.limits[text(persona)] = Limit(moment(at), count(tokens, bounds.most), window)
    # Absent in files of versions without agents.
    for agent, session, seen, ended, left in data.get(rows.AGENT_SESSIONS, ()):
        if len(left) > MAX_PERSONAS_OF_A_SESSION or len(session) > MAX_SESSION_NAME:
            raise Malformed("an agent's session with too many personas, or too long a name")
        totals.agent_sessions[text(agent), text(session)] = AgentSession(
            moment(seen),
            ended is True,
            tuple((text(p), _left(tokens, bounds.most), count(reset, bounds.most)) for p, tokens, reset in left),
        )
    return totals
