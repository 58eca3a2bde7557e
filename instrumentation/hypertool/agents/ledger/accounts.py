"""The use of each persona's budget in each session; a session is one run."""

from __future__ import annotations

from ...domain.budget_windows import KEEP_WINDOWS_SECONDS, shares_reached, window_start
from ...domain.personas import Catalogue, Persona
from ...runtime.light_modules import sqlite3
from ...runtime.light_typing import Any, NamedTuple
from .batch import Batch


class Run(NamedTuple):
    """A persona's budget in one session, which is one run of its workflow."""

    agent: str
    session: str
    persona: Persona
    workflow: str

    @property
    def limit(self) -> int:
        """The budget in tokens."""
        return self.persona.tokens_in(self.workflow)


def debit(
    connection: sqlite3.Connection, batch: Batch, run: Run, at: float, now: float, reset: int, tokens: int
) -> None:
    """Debit a budget for a call made `at`, in a transaction. Use from before the last reset is dropped."""
    persona = run.persona
    before_reset = at < reset
    if persona.window != "run":
        start = window_start(persona.window, at)
        if start >= now - KEEP_WINDOWS_SECONDS:
            batch.window(persona.name, start, 0 if before_reset else reset, tokens)
        return
    used, seen, told, exceeded = _account(connection, run)
    if seen < reset:
        used, told, exceeded = 0, 0, 0
    if not before_reset:
        used += tokens
    if used > run.limit and not exceeded:
        exceeded = 1
        batch.exceeded(persona.name)
    connection.execute(
        "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run.agent, run.session, persona.name, used, max(reset, seen), told, exceeded),
    )


def _account(connection: sqlite3.Connection, run: Run) -> tuple[int, int, int, int]:
    row = connection.execute(
        "SELECT used, reset, told, exceeded FROM accounts WHERE agent = ? AND session = ? AND persona = ?",
        (run.agent, run.session, run.persona.name),
    ).fetchone()
    return tuple(row) if row is not None else (0, 0, 0, 0)


def left(connection: sqlite3.Connection, run: Run, reset: int) -> int:
    """Tokens left in a session; negative when overspent."""
    used, seen, _, _ = _account(connection, run)
    return run.limit - (used if seen >= reset else 0)


def remaining(
    connection: sqlite3.Connection, agent: str, session: str, catalogue: Catalogue, workflow: str
) -> list[list[Any]]:
    """Persona, tokens left and reset seen, for every budget that the session has used."""
    rows = connection.execute(
        "SELECT persona, used, reset FROM accounts WHERE agent = ? AND session = ?", (agent, session)
    )
    return [
        [name, catalogue.personas[name].tokens_in(workflow) - used, reset]
        for name, used, reset in rows
        if name in catalogue.personas and catalogue.personas[name].window == "run"
    ]


def tell(connection: sqlite3.Connection, run: Run) -> int:
    """The highest share of the budget that was reached and not announced yet, else 0; marks it as announced."""
    used, _, told, _ = _account(connection, run)
    shares = shares_reached(used, run.limit, told)
    if not shares:
        return 0
    connection.execute(
        "UPDATE accounts SET told = ? WHERE agent = ? AND session = ? AND persona = ?",
        (shares[-1], run.agent, run.session, run.persona.name),
    )
    return shares[-1]
