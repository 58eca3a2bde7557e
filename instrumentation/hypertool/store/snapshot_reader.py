"""Reads a snapshot or an archive: checks every value before anything is added up.

Another user may have written a snapshot, so it is not trusted: counts and times have ranges, and the number of rows
has a limit. A single value out of range makes a whole snapshot Malformed, because an honest writer would not produce
it; in the archive, it costs only its row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ..domain.budget_windows import WINDOW_SECONDS
from ..domain.instruments import BY_KEY
from ..domain.personas import WINDOWS
from ..runtime.light_typing import Any, NamedTuple
from ..runtime.logs import once
from . import snapshot_format as rows
from .snapshot_format import VERSION, VERSION_KEY, Exemplar, Key, newest
from .totals import AgentSession, Ended, Limit, Malformed, Totals

MAX_TIME = 1e12
MAX_PERSONAS_OF_A_SESSION = 256
MAX_SESSION_NAME = 256
# What a row of the wrong shape raises.
_WRONG = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
_HEX = re.compile(r"[0-9a-f]+")


class ForeignVersion(Malformed):
    """An intact file written by another version of this package."""


class Bounds(NamedTuple):
    """Limits for one file: the highest count (`most`), and the number of rows.

    With `drops_rows` a row that does not fit is left out and logged; otherwise it makes the file Malformed.
    """

    most: int
    rows: int
    drops_rows: bool = False


# A process that counts a million tokens (or microseconds) every second reaches the limit in 30 years; sums of such
# files stay far below the archive's limit, whatever files are put into the store.
SNAPSHOT = Bounds(10**15, 5_000)
# For the service's own file. A float can represent the count exactly, so that it can be exposed. One row that another
# version wrote must not take the numbers of the whole host with it.
ARCHIVE = Bounds(10**30, 10**6, drops_rows=True)
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
    except (*_WRONG, RecursionError, MemoryError) as error:
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


def _key(parts: list[Any], kind: str) -> Key:
    known = BY_KEY.get(parts[0])
    if known is not None and known.type != kind:
        raise Malformed(f"{known.name} is a {known.type}, expected a {kind}")
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


def _counter(totals: Totals, row: list[Any], most: int) -> None:
    *key, value = row
    totals.counters[_key(key, "counter")] = count(value, most)


def _histogram(totals: Totals, row: list[Any], most: int) -> None:
    *key, buckets, total, exemplars = row
    name = _key(key, "histogram")
    known = BY_KEY.get(name[0])
    if len(buckets) > 64 or (known is not None and len(buckets) != len(known.buckets) + 1):
        raise Malformed(f"the histogram {name[0]!r:.20} has {len(buckets)} buckets")
    totals.histograms[name] = [*(count(bucket, most) for bucket in buckets), count(total, most)]
    for bucket, exemplar in exemplars.items():
        if not 0 <= int(bucket) < len(buckets):
            raise Malformed("an exemplar of no bucket")
        totals.exemplars[name, int(bucket)] = _exemplar(exemplar)


def _latest(totals: Totals, row: list[Any], most: int) -> None:
    *key, value = row
    totals.latest[_key(key, "gauge")] = count(value, _MAX_LATEST)


def _open_stage(totals: Totals, row: list[Any], most: int) -> None:
    workflow, stage, started, gated = row
    totals.open_stages.append((text(workflow), text(stage), moment(started), gated is True))


def _pending(totals: Totals, row: list[Any], most: int) -> None:
    sink, spans = row
    totals.pending[text(sink)] = count(spans, most)


def _active(totals: Totals, row: list[Any], most: int) -> None:
    totals.active.append(_budget(row, most))


def _ended(totals: Totals, row: list[Any], most: int) -> None:
    persona, at, left, reset = row
    totals.ended[text(persona)] = Ended(moment(at), _left(left, most), count(reset, most))


def _window(totals: Totals, row: list[Any], most: int) -> None:
    persona, start, reset, used = row
    if count(start, int(MAX_TIME)) % WINDOW_SECONDS["hour"]:  # a day begins with an hour
        raise Malformed(f"{_shown(start)} is not the start of an hour or a day")
    totals.windows[text(persona), start, count(reset, most)] = count(used, most)


def _reserved(totals: Totals, row: list[Any], most: int) -> None:
    persona, tokens = row
    totals.reserved[text(persona)] = count(tokens, most)


def _limit(totals: Totals, row: list[Any], most: int) -> None:
    persona, tokens, window, at = row
    if window not in WINDOWS:
        raise Malformed(f"{_shown(window)} is no budget window")
    totals.limits[text(persona)] = Limit(moment(at), count(tokens, most), window)


def _agent_session(totals: Totals, row: list[Any], most: int) -> None:
    agent, session, seen, ended, left = row
    if len(left) > MAX_PERSONAS_OF_A_SESSION or len(session) > MAX_SESSION_NAME:
        raise Malformed("an agent's session with too many personas, or too long a name")
    known = AgentSession(moment(seen), ended is True, tuple(_budget(one, most) for one in left))
    totals.agent_sessions[text(agent), text(session)] = known


def _budget(row: list[Any], most: int) -> tuple[str, int, int]:
    persona, left, reset = row
    return text(persona), _left(left, most), count(reset, most)


_TAKE: dict[str, Callable[[Totals, list[Any], int], None]] = {
    rows.COUNTERS: _counter,
    rows.HISTOGRAMS: _histogram,
    rows.LATEST: _latest,
    rows.OPEN_STAGES: _open_stage,
    rows.PENDING: _pending,
    rows.ACTIVE: _active,
    rows.ENDED: _ended,
    rows.WINDOWS: _window,
    rows.RESERVED: _reserved,
    rows.LIMITS: _limit,
    rows.AGENT_SESSIONS: _agent_session,
}
# Absent in files of versions that did not have them.
_OPTIONAL = frozenset({rows.PENDING, rows.RESERVED, rows.AGENT_SESSIONS})


def from_data(data: dict[str, Any], bounds: Bounds = SNAPSHOT) -> Totals:
    """The totals in a recorder's snapshot. Raises Malformed, or type errors, which `parse` turns into Malformed."""
    parts = {part: data.get(part, ()) if part in _OPTIONAL else data[part] for part in rows.PARTS}
    if sum(map(len, parts.values())) > bounds.rows:
        raise Malformed(f"it has more than {bounds.rows} rows")
    totals = Totals()
    if rows.TAKEN in data:
        moment(data[rows.TAKEN])
    for part, found in parts.items():
        take = _TAKE[part]
        for row in found:
            try:
                take(totals, row, bounds.most)
            except _WRONG as error:
                if not bounds.drops_rows:
                    raise
                once.warn(
                    f"archive row {part}",
                    f"the archive has a row of kind {part!r} that is left out, because this version cannot use it: "
                    f"{error!s:.200}; all other rows count",
                )
    return totals
