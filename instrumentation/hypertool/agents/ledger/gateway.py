"""What the gateway asks and tells the ledger beside its calls: sessions, refusals, and calls without usage."""

from __future__ import annotations

from ...domain.instruments import LLM_REQUESTS, LLM_USAGE_MISSING
from .ledger import Ledger


def newest_session(ledger: Ledger, agent: str, since: float) -> str:
    """The agent's active session that was heard of last, at `since` or later (seconds since the epoch); else empty."""
    row = ledger.connection.execute(
        "SELECT session FROM sessions WHERE agent = ? AND ended = 0 AND seen >= ? AND session != 'none' "
        "ORDER BY seen DESC LIMIT 1",
        (agent, since),
    ).fetchone()
    return str(row[0]) if row is not None else ""


def knows(ledger: Ledger, agent: str, keys: tuple[str, ...]) -> bool:
    """Whether a call with one of these ids has been counted."""
    marks = ",".join("?" * len(keys))
    found = ledger.connection.execute(
        f"SELECT 1 FROM keys WHERE agent = ? AND key IN ({marks}) LIMIT 1", (agent, *keys)
    ).fetchone()
    return found is not None


def count_refused(ledger: Ledger, agent: str, persona: str, model: str) -> None:
    """Count a call that was refused at a budget, in a transaction."""
    ledger.count_blocked(agent, persona)
    ledger.batch.add(1, LLM_REQUESTS.key, persona, ledger.label("model", model), "blocked")


def count_unread(ledger: Ledger, persona: str, model: str, outcome: str, missing: str) -> None:
    """Count a call whose usage nobody knows, in a transaction; `missing` is the reason, empty if none is due."""
    named = ledger.label("model", model)
    ledger.batch.add(1, LLM_REQUESTS.key, persona, named, outcome)
    if missing:
        ledger.batch.add(1, LLM_USAGE_MISSING.key, persona, named, missing)
