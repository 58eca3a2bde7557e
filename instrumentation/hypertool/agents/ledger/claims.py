"""Personas that the gateway's base URLs name, for unbound sessions whose id the client does not tell.

A session's file may tell of such a call before the gateway knows what it used; without the claim it would be nobody's.
"""

from __future__ import annotations

from ...runtime.light_modules import sqlite3
from .attribution import UNKNOWN, Attribution

# The name under which an agent's claims are kept among its sessions' bindings.
_CLAIM = "(gateway)"
HOLDS_SECONDS = 600.0
"""How long after the start of a call its claim holds."""
EARLY_SECONDS = 10.0
"""How long before its request an agent may begin the message that its session file then has (opencode does)."""


def claim(connection: sqlite3.Connection, agent: str, whose: Attribution, at: float) -> None:
    """Note, in a transaction, that a call of the agent began `at` (seconds since the epoch) with that persona."""
    connection.execute("INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)", (agent, _CLAIM, at, *whose))


def claimed(connection: sqlite3.Connection, agent: str, at: float, default: Attribution) -> Attribution:
    """Whose an unbound session's call is: `default` if it names a persona, else the nearest claim, else `default`."""
    if default.persona != UNKNOWN:
        return default
    row = connection.execute(
        "SELECT persona, chatmode, workflow FROM bindings WHERE agent = ? AND session = ? AND at BETWEEN ? AND ? "
        "ORDER BY at > ?, abs(at - ?) LIMIT 1",
        (agent, _CLAIM, at - HOLDS_SECONDS, at + EARLY_SECONDS, at, at),
    ).fetchone()
    return Attribution(*row) if row is not None else default
