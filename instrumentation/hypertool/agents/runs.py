"""Commands under `hypertool run`, noted in the ledger while they run: who reads a session first binds it to its run.

A note has no path, only a checksum of the directory.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence

from ..runtime.light_typing import TYPE_CHECKING, NamedTuple
from .ledger.attribution import Attribution
from .origins import SLACK_SECONDS, Origin, origin, resumes
from .processes import start_of

if TYPE_CHECKING:
    from .ledger.ledger import Ledger
    from .reading.read import Reading

# The name under which notes are kept among the bindings.
_RUN = "(run)"
ANY = "*"


class _Note(NamedTuple):
    agent: str
    process: int
    began: int
    place: str
    resumes: int
    started: float
    whose: Attribution


def note(ledger: Ledger, agent: str, words: Sequence[str], started: float, directory: str, whose: Attribution) -> None:
    """Note that this process runs the command `words` of that agent (empty: it may start any), in a transaction."""
    mine = os.getpid()
    known = f"{agent or ANY} {mine} {start_of(mine)} {_checksum(os.path.realpath(directory))} {int(resumes(words))}"
    ledger.connection.execute("INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)", (_RUN, known, started, *whose))


def forget(ledger: Ledger) -> None:
    """Forget this process's notes and those of processes that are gone, in a transaction."""
    for known, found in list(_notes(ledger)):
        if found.process == os.getpid() or not _alive(found):
            ledger.connection.execute("DELETE FROM bindings WHERE agent = ? AND session = ?", (_RUN, known))


def bind(ledger: Ledger, agent: str, path: str, reading: Reading) -> None:
    """Bind the unbound sessions in a reading to the runs that are theirs, in a transaction."""
    notes = None
    for session in {call.session for call in reading.calls if call.session}:
        if ledger.binding(agent, session, ledger.now()) is not None:
            continue
        notes = (
            [found for _, found in _notes(ledger) if found.agent in (agent, ANY) and _alive(found)]
            if notes is None
            else notes
        )
        if not notes:
            return
        begun = origin(agent, path, session)
        for one in notes:
            if _is_of(one, begun):
                ledger.bind(agent, session, one.whose, one.started - SLACK_SECONDS)
                break


def _is_of(run: _Note, begun: Origin) -> bool:
    if not begun.directory or run.place not in _places(os.path.realpath(begun.directory)):
        return False
    return begun.began >= run.started - SLACK_SECONDS or bool(run.resumes)


def _places(directory: str) -> Iterator[str]:
    """The directory, and those above it."""
    while True:
        yield _checksum(directory)
        above = os.path.dirname(directory)
        if above == directory:
            return
        directory = above


def _checksum(directory: str) -> str:
    raw = os.fsencode(directory)
    return f"{zlib.crc32(raw):08x}{zlib.crc32(raw[::-1], 1):08x}"


def _notes(ledger: Ledger) -> Iterator[tuple[str, _Note]]:
    """The notes, the newest first."""
    rows = ledger.connection.execute(
        "SELECT session, at, persona, chatmode, workflow FROM bindings WHERE agent = ? ORDER BY at DESC", (_RUN,)
    ).fetchall()
    for known, started, *whose in rows:
        agent, process, began, place, resumed = known.split()
        yield known, _Note(agent, int(process), int(began), place, int(resumed), started, Attribution(*whose))


def _alive(run: _Note) -> bool:
    return start_of(run.process) == run.began
