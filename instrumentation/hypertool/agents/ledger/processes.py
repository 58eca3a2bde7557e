"""The session that each running agent works in, as its hooks tell: they are started by the agent's own process."""

from __future__ import annotations

from ...errors import HypertoolError
from ...runtime.light_modules import sqlite3
from ...runtime.light_typing import TYPE_CHECKING
from . import database, location

if TYPE_CHECKING:
    from ..processes import AgentProcess
    from .ledger import Ledger

# Not in the ledger's first format: versions that do not know it are not disturbed by it.
_TABLE = """
CREATE TABLE IF NOT EXISTS processes (
  process INTEGER PRIMARY KEY, ticks INTEGER NOT NULL, agent TEXT NOT NULL, session TEXT NOT NULL, at REAL NOT NULL)
"""
_IS = "process = ? AND ticks = ? AND agent = ?"
KEPT_SECONDS = 30 * 86_400.0


def note(ledger: Ledger, running: AgentProcess, session: str, certain: bool = True) -> None:
    """The agent's process works in that session from now on, or if not `certain`, unless another is known; in a
    transaction.
    """
    connection, here = ledger.connection, (running.process, running.ticks, running.agent)
    connection.execute(_TABLE)
    known = connection.execute(f"SELECT session FROM processes WHERE {_IS}", here).fetchone()
    if known == (session,) or (known is not None and not certain):
        return
    now = ledger.now()
    connection.execute("INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?)", (*here, session, now))
    connection.execute("DELETE FROM processes WHERE at < ?", (now - KEPT_SECONDS,))


def told(running: AgentProcess) -> str:
    """The session that the process's last hook was of; empty if none told."""
    if not location.exists():
        return ""
    try:
        connection = database.connect(location.directory(), database.HOOK_SECONDS)
        try:
            here = (running.process, running.ticks, running.agent)
            row = connection.execute(f"SELECT session FROM processes WHERE {_IS}", here).fetchone()
        finally:
            connection.close()
    except (HypertoolError, sqlite3.Error):  # a ledger without this table, or one that cannot be read now
        return ""
    return str(row[0]) if row is not None else ""
