"""Reads one file of an agent from where the last reading ended, even if the file was replaced meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from ...runtime.light_typing import Any, NamedTuple
from ..calls import AgentCall, Read, Unrecognised
from .lines import read_lines
from .positions import Position, begin, stamp_of, still_valid
from .sources import open_source

MAX_DOCUMENT = 64 << 20
LIMIT = 256 << 20
"""Bytes of a file of lines that one reading takes; the next one goes on."""


class Reading(NamedTuple):
    """The new records of a file; `more` if they exceed one reading."""

    calls: list[AgentCall]
    unrecognised: list[Unrecognised]
    position: Position | None
    more: bool = False


NOTHING = Reading([], [], None)
_NO_ROW = -(2**63)  # below every row's id
Positions = Callable[[int, int], Position | None]


def read_file(reader: Any, path: str, positions: Positions, limit: int = LIMIT) -> Reading:
    """Read what is new in that file. `positions(device, inode)` is where the last reading ended.

    A missing file, a link, or another user's file yields nothing. Never raises: an unreadable file counts as
    unrecognised.
    """
    try:
        descriptor = open_source(path)
    except FileNotFoundError:
        return NOTHING
    except OSError:
        return Reading([], [Unrecognised("unreadable")], None)
    if descriptor is None:
        return NOTHING
    try:
        return _read(reader, path, descriptor, positions, limit)
    except OSError:
        return Reading([], [Unrecognised("unreadable")], None)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return Reading([], [Unrecognised("malformed")], None)
    finally:
        os.close(descriptor)


def _read(reader: Any, path: str, descriptor: int, positions: Positions, limit: int) -> Reading:
    found = os.fstat(descriptor)
    known = positions(found.st_dev, found.st_ino)
    if reader.FORMAT == "database":
        return _read_database(reader, path, known or Position(found.st_dev, found.st_ino))
    stamp = stamp_of(found)
    if known is not None and known.stamp == stamp:
        return NOTHING
    if reader.FORMAT == "document":
        position = Position(found.st_dev, found.st_ino, stamp=stamp, context=known.context if known else ())
        if found.st_size > MAX_DOCUMENT:
            return Reading([], [Unrecognised("too_large")], position)
        return _read_document(reader, descriptor, found.st_size, position, known)
    if known is None or not still_valid(known, descriptor, found.st_size):
        opening = getattr(reader, "opening", None)
        known = begin(descriptor, found)._replace(context=tuple(opening(path).items()) if opening is not None else ())
    reads, position, more = read_lines(reader, descriptor, known, limit)
    return _sorted(reads, position if more else position._replace(stamp=stamp), more)


def _read_document(reader: Any, descriptor: int, size: int, position: Position, known: Position | None) -> Reading:
    raw = b""
    while len(raw) < size:
        chunk = os.pread(descriptor, size - len(raw), len(raw))
        if not chunk:
            break
        raw += chunk
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        # Perhaps incomplete: once it is complete, it has another stamp.
        return Reading([], [Unrecognised("malformed")] if raw else [], position)
    if document.__class__ is not dict:
        return Reading([], [Unrecognised("unknown_format")], position)
    reading = _sorted(list(reader.read_document(document)), position, False)
    return _only_new(reading, dict(known.context) if known is not None else {})


def _only_new(reading: Reading, before: dict[str, str]) -> Reading:
    """Drop unrecognised records that were counted before: a document repeats all its records."""
    seen: dict[str, int] = {}
    new = []
    for one in reading.unrecognised:
        seen[one.reason] = seen.get(one.reason, 0) + 1
        if seen[one.reason] > int(before.get(one.reason, "0")):
            new.append(one)
    assert reading.position is not None
    counts = {reason: str(max(count, int(before.get(reason, "0")))) for reason, count in seen.items()}
    return reading._replace(
        unrecognised=new, position=reading.position._replace(context=tuple({**before, **counts}.items()))
    )


def _read_database(reader: Any, path: str, position: Position) -> Reading:
    import sqlite3

    now = int(time.time() * 1000)
    before = dict(position.context)
    mark = (min(position.offset, now), int(before.pop("row", _NO_ROW)))
    # A finished reading repeats the messages of its last millisecond: another one may have changed in it since.
    last = after = mark if before.pop("unfinished", "") else (mark[0], _NO_ROW)
    reads: list[Read] = []
    repeated: list[Read] = []
    number = 0
    failure: list[Unrecognised] = []
    try:
        for key, read in reader.read_database(path, after, now):
            if key is None:
                repeated.append(read)
                continue
            last = key
            number += 1
            if isinstance(read, AgentCall) or key > mark:
                reads.append(read)
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            return NOTHING
        unknown = isinstance(error, sqlite3.OperationalError) and "interrupted" not in str(error)
        failure = [Unrecognised("unknown_format" if unknown else "unreadable")]
        if not number:
            return Reading([], failure, None)
    more = number >= reader.ROWS_AT_ONCE and not failure
    untimely = _only_new(_sorted(repeated, position, False), before)
    assert untimely.position is not None
    newest = last if more else max(mark, last)
    context = (("row", str(newest[1])), *([("unfinished", "1")] if more else []), *untimely.position.context)
    found = _sorted([*reads, *untimely.calls], position._replace(offset=newest[0], context=context), more)
    return found._replace(unrecognised=[*found.unrecognised, *untimely.unrecognised, *failure])


def _sorted(reads: list[Read], position: Position, more: bool) -> Reading:
    """Merge records of the same call, keeping the most complete usage and the first position in the file."""
    calls: dict[tuple[str, ...], AgentCall] = {}
    unrecognised = []
    for read in reads:
        if isinstance(read, AgentCall):
            known = calls.get(read.keys)
            calls[read.keys] = read if known is None else more_complete(known, read)
        elif read is not None:
            unrecognised.append(read)
    return Reading(list(calls.values()), unrecognised, position, more)


def more_complete(known: AgentCall, again: AgentCall) -> AgentCall:
    """Of two records of one call, the later one, unless it has fewer tokens; the first time is kept."""
    best = again if again.tokens.total >= known.tokens.total else known
    return best._replace(at=known.at or best.at, subagent=best.subagent or known.subagent)
