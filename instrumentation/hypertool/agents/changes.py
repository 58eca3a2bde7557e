"""The session files of all agents that changed since they were last looked at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from ..domain.instruments import AGENTS
from ..runtime.light_typing import NamedTuple
from .reading.registry import reader

FRESH_SECONDS = 7 * 86400.0
"""The service leaves sessions alone that were not touched for longer; `hypertool usage --read` reads them too."""


class Changed(NamedTuple):
    """A session file that changed since the last round."""

    agent: str
    path: str
    stamp: tuple[int, int]


def changed(
    home: str,
    environment: Mapping[str, str],
    since: float,
    stamps: Mapping[str, tuple[int, int]],
    agents: Sequence[str] = AGENTS,
) -> Iterator[Changed]:
    """Files of these agents that were touched at `since` (seconds since the epoch) or later and differ from `stamps`.

    An unchanged file costs one `lstat`.
    """
    for agent in agents:
        module = reader(agent)
        for path in module.locations(home, dict(environment)):
            stamp = _stamp(path, module.FORMAT == "database")
            if stamp is not None and stamp[0] / 1e9 >= since and stamps.get(path) != stamp:
                yield Changed(agent, path, stamp)


def _stamp(path: str, database: bool) -> tuple[int, int] | None:
    """Modification time (nanoseconds) and size; None if the file is gone."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    newest = found.st_mtime_ns
    if database:  # its newest rows may still be in the write-ahead log
        with contextlib.suppress(OSError):
            newest = max(newest, os.lstat(path + "-wal").st_mtime_ns)
    return newest, found.st_size
