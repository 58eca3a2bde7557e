"""Handles one event: binds the session, counts its new calls, then stops or warns the agent according to its budget."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...domain.instruments import AGENTS
from ...runtime.light_modules import sqlite3
from ...runtime.workspace import find_workspace
from ..ledger import database
from ..ledger.attribution import Attribution
from ..ledger.ledger import Ledger
from ..reading.read import read_file
from ..reading.registry import reader
from . import answers
from .budgets import Standing, message, standing
from .events import Event, files, session_file
from .owners import enter, owner

SOURCE = "session_file"
LIMIT = 32 << 20
"""Bytes of one file that one transaction takes, so that no other hook waits long."""
PASSES = 32
# Agents whose shells do not name their session, and whose files do not say which process writes them.
PROCESSES = ("auggie", "gemini-cli")


def handle(event: Event) -> answers.Answer | None:
    """The answer to the agent, or None. Exceptions propagate."""
    if event.agent not in AGENTS:
        return None
    ledger = Ledger(seconds=database.HOOK_SECONDS)
    workspace = find_workspace(Path(event.directory)) if event.directory else None
    with contextlib.suppress(sqlite3.OperationalError):  # another process writes: it or the next hook counts
        _count(ledger, event, workspace)
    return _decide(ledger, event, workspace) if event.session else None


def _count(ledger: Ledger, event: Event, workspace: Path | None) -> None:
    """Bind the session and count its new calls. Raises sqlite3.OperationalError if another process writes too long."""
    home, environment = os.path.expanduser("~"), dict(os.environ)
    name = workspace.name if workspace is not None else ""
    entered = not event.session
    module = reader(event.agent)
    if event.kind == "session_start" and not entered:  # first of all: it may bring many files of others
        with ledger.writing():
            _enter(ledger, event, workspace, home, environment)
        entered = True
    for path in files(event, home, environment):
        for _ in range(PASSES):
            reading = read_file(module, path, ledger.position, LIMIT)
            if reading.position is not None or reading.unrecognised:
                with ledger.writing():
                    if not entered:  # in the same transaction: each one costs the agent a millisecond
                        _enter(ledger, event, workspace, home, environment)
                        entered = True
                    ledger.ingest(event.agent, reading, SOURCE, name, Attribution())
            if not reading.more:
                break
    if not entered:
        with ledger.writing():
            _enter(ledger, event, workspace, home, environment)
    if event.kind == "session_end" and event.session:
        with ledger.writing():
            ledger.end_session(event.agent, event.session)


def _enter(ledger: Ledger, event: Event, workspace: Path | None, home: str, environment: dict[str, str]) -> None:
    ledger.see_session(event.agent, event.session, workspace.name if workspace is not None else "")
    if event.subagent_id and event.subagent:
        ledger.name_subagent(event.agent, event.subagent_id, event.subagent)
    if event.asked and event.task:
        ledger.name_task(event.agent, event.task, event.asked)
    enter(ledger, event, workspace)
    _note_process(ledger, event, home, environment)


def _note_process(ledger: Ledger, event: Event, home: str, environment: dict[str, str]) -> None:
    """For agents whose shells do not name their session: the process that started this hook works in it."""
    if event.agent not in PROCESSES:
        return
    from ..ledger import processes
    from ..processes import agent_above

    running = agent_above()
    if running is not None and running.agent == event.agent:
        processes.note(ledger, running, event.session, _is_sessions(event, home, environment))


def _is_sessions(event: Event, home: str, environment: dict[str, str]) -> bool:
    """Whether the event is surely a session's own. A sub-agent of Auggie's has an id too, but no file.

    A session has none either before its first tool has ended.
    """
    return (
        event.agent != "auggie"
        or event.kind == "session_start"
        or os.path.exists(session_file(event, home, environment))
    )


def _decide(ledger: Ledger, event: Event, workspace: Path | None) -> answers.Answer | None:
    if not answers.stops(event) and not answers.can_warn(event):
        return None
    if event.task and not event.asked:
        event = event._replace(subagent=ledger.subagent(event.agent, event.task) or event.subagent)
    found = standing(ledger, event, owner(ledger, event, workspace))
    if found is None:
        return None
    if found.blocks and answers.stops(event):
        return _stop(ledger, event, found)
    return _warn(ledger, event, found)


def _stop(ledger: Ledger, event: Event, found: Standing) -> answers.Answer | None:
    process = None
    if answers.stops_by_ending(event):
        from . import ending  # only here: a hook has no time for unused imports

        process = ending.process_of(event)
        if process is None:
            return None
    with contextlib.suppress(sqlite3.OperationalError), ledger.writing():
        ledger.count_blocked(event.agent, found.persona.name)
    if process is None:
        return answers.stop(event, message(found))
    ending.end_agent(process, message(found))
    return None


def _warn(ledger: Ledger, event: Event, found: Standing) -> answers.Answer | None:
    if found.left * 5 > found.limit or not answers.can_warn(event):
        return None
    with ledger.writing():
        share = ledger.share_to_tell(event.agent, event.session, found.persona.name)
    return answers.warn(event, message(found)) if share else None
