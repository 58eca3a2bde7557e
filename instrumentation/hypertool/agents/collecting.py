"""Reads every session of this user that changed: what the service does every few seconds, for agents without hooks."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ..domain.instruments import AGENTS
from .ledger.attribution import Attribution
from .ledger.ledger import Ledger
from .reading.read import read_file
from .reading.registry import reader

SOURCE = "session_file"
FRESH_SECONDS = 7 * 86400.0
"""Sessions that were not touched for longer are history, and are read only when somebody asks for it."""


def collect(
    ledger: Ledger,
    home: str,
    environment: Mapping[str, str],
    since: float = 0.0,
    stamps: dict[str, tuple[int, int]] | None = None,
) -> int:
    """Count what changed at `since` (seconds since the epoch) or later in any agent's files; returns the new calls.

    `stamps` remembers between rounds what each file looked like, so that an unchanged one costs one `lstat`.
    """
    new = 0
    for agent in AGENTS:
        module = reader(agent)
        for path in module.locations(home, dict(environment)):
            try:
                found = os.lstat(path)
            except OSError:
                continue
            stamp = (found.st_mtime_ns, found.st_size)
            # A database's newest rows may still be in its write-ahead log.
            known = stamps is not None and stamps.get(path) == stamp and module.FORMAT != "database"
            if known or found.st_mtime < since:
                continue
            new += _take_in(ledger, agent, path)
            if stamps is not None:
                stamps[path] = stamp
    return new


def _take_in(ledger: Ledger, agent: str, path: str) -> int:
    new, more = 0, True
    while more:
        reading = read_file(reader(agent), path, ledger.position)
        more = reading.more
        if reading.calls or reading.unrecognised or (reading.position is not None and reading.position.stamp):
            with ledger.writing():
                new += ledger.ingest(agent, reading, SOURCE, "", Attribution())
    return new


def fresh() -> float:
    """The time before which an untouched session is history."""
    return time.time() - FRESH_SECONDS
