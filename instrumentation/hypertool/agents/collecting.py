"""Reads all changed sessions of this user every few seconds, in the service; covers agents without hooks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..runtime.light_typing import NamedTuple
from ..runtime.workspace import find_workspace
from . import runs
from .changes import Changed
from .installing.plans import SCOPES, plan
from .ledger.attribution import Attribution
from .ledger.ledger import Ledger
from .origins import origin
from .reading.read import Reading, read_file
from .reading.registry import reader

SOURCE = "session_file"
HOLD_SECONDS = 10.0
"""How long the calls of a new session wait at most for its first hook, where the agent itself does not wait for it."""
_UNAWAITED = ("cline",)  # Its first call is made, and in its file, while its first hook runs.


class Collected(NamedTuple):
    """How many calls were new, and the files that are left for the next round."""

    new: int
    held: frozenset[str]


def collect(ledger: Ledger, files: Iterable[Changed], home: str, environment: Mapping[str, str]) -> Collected:
    """Count what is new in those files of the user with that home."""
    new, held = 0, set()
    for file in files:
        more = True
        while more:
            reading = read_file(reader(file.agent), file.path, ledger.position)
            more = reading.more
            if reading.position is not None or reading.unrecognised:
                with ledger.writing():
                    runs.bind(ledger, file.agent, file.path, reading)
                    if _awaits_its_hook(ledger, file, reading, home, environment):
                        held.add(file.path)
                        break
                    new += ledger.ingest(file.agent, reading, SOURCE, "", Attribution())
    return Collected(new, frozenset(held))


def _awaits_its_hook(
    ledger: Ledger, file: Changed, reading: Reading, home: str, environment: Mapping[str, str]
) -> bool:
    """Whether the file is of a new session whose first hook, which says whose it is, may be still running."""
    if file.agent not in _UNAWAITED or not reading.calls:
        return False
    session, now = reading.calls[0].session, ledger.now()
    return (
        all(now - call.at < HOLD_SECONDS for call in reading.calls)
        and ledger.binding(file.agent, session, now) is None
        and _is_hooked(file, session, home, environment)
    )


def _is_hooked(file: Changed, session: str, home: str, environment: Mapping[str, str]) -> bool:
    directory = origin(file.agent, file.path, session).directory
    project = str(find_workspace(Path(directory))) if directory else home
    plans = (plan(file.agent, scope, home, project, environment) for scope in SCOPES)
    return any(os.path.exists(os.path.join(found.path, found.events[0])) for found in plans)
