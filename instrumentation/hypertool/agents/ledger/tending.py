"""Keeps a ledger small and complete, outside hooks: adds prices, and folds old calls."""

from __future__ import annotations

from ...llm.pricing.cost import cost_of
from ...llm.reading.usage import Usage
from .ledger import Ledger

KEEP_CALLS_SECONDS = 92 * 86400.0
KEEP_KEYS_SECONDS = 400 * 86400.0
AT_ONCE = 5000


def price(ledger: Ledger) -> int:
    """Add the cost of calls that have none yet; returns how many were examined. A model without a price has no cost."""
    rows = ledger.connection.execute("SELECT 1 FROM calls WHERE priced = 0 LIMIT 1").fetchall()
    if not rows:
        return 0
    with ledger.writing():
        rows = ledger.connection.execute(
            "SELECT id, persona, model, at, nano_usd, input, cache_read, cache_write, output, reasoning "
            "FROM calls WHERE priced = 0 LIMIT ?",
            (AT_ONCE,),
        ).fetchall()
        for identity, persona, model, at, before, *tokens in rows:
            cost = max(before, cost_of(model, Usage(*tokens), at=at) or 0)
            ledger.batch.cost(persona, model, cost - before)
            ledger.connection.execute("UPDATE calls SET nano_usd = ?, priced = 1 WHERE id = ?", (cost, identity))
    return len(rows)


def fold(ledger: Ledger, now: float) -> None:
    """Sum calls older than 92 days by day; delete keys, positions and bindings that are no longer needed."""
    before = now - KEEP_CALLS_SECONDS
    with ledger.writing():
        execute = ledger.connection.execute
        execute(
            "INSERT INTO days SELECT CAST(at / 86400 AS INTEGER), agent, persona, model, workspace, count(*), "
            "sum(input), sum(cache_read), sum(cache_write), sum(output), sum(reasoning), sum(nano_usd) "
            "FROM calls WHERE at < ? GROUP BY 1, 2, 3, 4, 5 "
            "ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, input = input + excluded.input, "
            "cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write, "
            "output = output + excluded.output, reasoning = reasoning + excluded.reasoning, "
            "nano_usd = nano_usd + excluded.nano_usd",
            (before,),
        )
        execute("DELETE FROM calls WHERE at < ?", (before,))
        execute("DELETE FROM keys WHERE at < ?", (now - KEEP_KEYS_SECONDS,))
        for table, column in (("positions", "at"), ("subagents", "at"), ("bindings", "at")):
            execute(f"DELETE FROM {table} WHERE {column} < ?", (now - KEEP_KEYS_SECONDS,))
        execute(
            "DELETE FROM accounts WHERE (agent, session) IN (SELECT agent, session FROM sessions WHERE seen < ?)",
            (before,),
        )
        execute("DELETE FROM sessions WHERE seen < ?", (before,))
