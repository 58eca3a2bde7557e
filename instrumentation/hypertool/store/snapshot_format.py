"""The snapshot's written form: the one place that knows its keys and the order of each row.

A snapshot is one JSON object on one line. A process may append newer snapshots to its file: the last complete line
counts; a rest after it is incomplete. Every value is a list of rows, so that label values need no quoting; counts are
integers in the unit of the instrument's table (tokens, events, microseconds, nano-dollars).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from ..runtime.light_typing import Any

LINE_END = b"\n"
VERSION = 1
# The limit for readers: some 5,000 label sets, far more than a process has; a sparse file may claim a terabyte.
MAX_BYTES = 2**20
VERSION_KEY = "v"
WRITER = "id"

TAKEN = "t"  # seconds since the epoch
COUNTERS = "c"  # [*key, value]
HISTOGRAMS = "h"  # [*key, buckets, sum in microseconds, {bucket: exemplar}]
LATEST = "m"  # [*key, value]
OPEN_STAGES = "s"  # [workflow, stage, started, has a gate]
PENDING = "p"  # [sink, unresolved spans]
ACTIVE = "a"  # [persona, tokens left, reset seen]
ENDED = "e"  # [persona, time, tokens left, reset seen]
WINDOWS = "w"  # [persona, start, reset, used]
RESERVED = "r"  # [persona, tokens]
LIMITS = "l"  # [persona, tokens, window, loaded at]
AGENT_SESSIONS = "g"  # [agent, session, last activity, ended, [[persona, tokens left, reset seen], ...]]
PARTS = (COUNTERS, HISTOGRAMS, LATEST, OPEN_STAGES, PENDING, ACTIVE, ENDED, WINDOWS, RESERVED, LIMITS, AGENT_SESSIONS)

# A metric's key, then its label values.
Key = tuple[str, ...]
# Persona, start (seconds since the epoch) and number of the reset that opened it.
Window = tuple[str, int, int]
# Persona, tokens, window and the time at which the configuration was loaded.
Limit = tuple[str, int, str, float]
# Trace id and span id in hexadecimal, value and time in seconds.
Exemplar = tuple[str, str, float, float]


def rows(
    *,
    counters: Mapping[Key, int],
    histograms: Iterable[tuple[Key, Sequence[int], int, Mapping[int, Exemplar]]],
    latest: Mapping[Key, int],
    open_stages: Iterable[Iterable[Any]],
    pending: Mapping[str, int],
    active: Iterable[tuple[str, int, int]],
    ended: Iterable[tuple[str, float, int, int]],
    windows: Mapping[Window, int],
    limits: Iterable[Limit],
    agent_sessions: Iterable[Sequence[Any]] = (),
) -> dict[str, Any]:
    """The rows that a snapshot and the archive have in common. The mappings must not change meanwhile."""
    return {
        COUNTERS: [[*key, value] for key, value in counters.items()],
        HISTOGRAMS: [[*key, buckets, total, exemplars] for key, buckets, total, exemplars in histograms],
        LATEST: [[*key, value] for key, value in latest.items()],
        OPEN_STAGES: [list(stage) for stage in open_stages],
        PENDING: [[sink, spans] for sink, spans in pending.items()],
        ACTIVE: [list(row) for row in active],
        ENDED: [list(row) for row in ended],
        WINDOWS: [[*window, used] for window, used in windows.items()],
        LIMITS: [list(row) for row in limits],
        AGENT_SESSIONS: [list(row) for row in agent_sessions],
    }


# Kept, because `json.dumps` makes a new encoder each time; a snapshot has no circles.
encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encode(data: dict[str, Any]) -> bytes:
    """A snapshot as bytes."""
    return encoded({VERSION_KEY: VERSION, **data}).encode()


def members(data: dict[str, Any]) -> str:
    """A snapshot's own part of its JSON object: without version, writer and braces."""
    return encoded(data)[1:-1]


def line(writer: str, members: str) -> bytes:
    """The line of a snapshot file with these members; `writer` is hexadecimal."""
    return f'{{"{VERSION_KEY}":{VERSION},"{WRITER}":"{writer}",{members}}}\n'.encode()


def newest(raw: bytes) -> bytes:
    """The newest snapshot of a file: its last complete line, or the whole file if it has no line end."""
    complete, found, _ = raw.rpartition(LINE_END)
    return complete.rpartition(LINE_END)[2] if found else raw


def without_exemplars(text: str) -> str:
    """The same members without the exemplars of histograms."""
    data = json.loads(f"{{{text}}}")
    return members({**data, HISTOGRAMS: [[*row[:-1], {}] for row in data[HISTOGRAMS]]})
