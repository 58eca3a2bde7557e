"""Pairs a call that the gateway saw with the same call in a source that has another id for it, by its figures.

Gemini CLI, Cline, opencode and Aider give their calls ids of their own, and no client needs to tell who it is. Such
a call is the same one if both sides of it, input and output, have the same number of tokens within ten minutes; each
call is paired once.
"""

from __future__ import annotations

from ...runtime.light_modules import sqlite3
from ..calls import AgentCall

GATEWAY = "gateway"
ANONYMOUS = "other"
"""The agent of a client that does not tell who it is."""
NEAR_SECONDS = 600.0
# Their session files have the provider's own ids, as the gateway has.
SHARED_IDS = frozenset({"claude-code", "codex", "copilot-cli", "qwen-code"})


def pair(connection: sqlite3.Connection, call: AgentCall, at: float, source: str) -> int | None:
    """The row of the same call from the other side, or None; `source` is where this one is from."""
    if not call.tokens.total:
        return None
    own = () if call.agent in SHARED_IDS else (call.agent,)
    if source == GATEWAY:
        if call.agent in SHARED_IDS:
            return None
        which, agents = "source IN ('session_file', 'otlp')", () if call.agent == ANONYMOUS else own
    else:
        which, agents = "source = 'gateway'", (*own, ANONYMOUS)
    if agents:
        which += f" AND agent IN ({','.join('?' * len(agents))})"
    given, tokens = call.tokens, call.tokens.total
    answer = given.output + given.reasoning
    row = connection.execute(
        f"SELECT id FROM calls WHERE at BETWEEN ? AND ? AND {which} AND input + cache_read + cache_write = ? "
        "AND output + reasoning = ? ORDER BY abs(at - ?) LIMIT 1",
        (at - NEAR_SECONDS, at + NEAR_SECONDS, *agents, tokens - answer, answer, at),
    ).fetchone()
    return int(row[0]) if row is not None else None


def mark(connection: sqlite3.Connection, row: int, source: str) -> None:
    """Note that the other side has told of that call too, so that it pairs with no further one."""
    if source == GATEWAY:
        connection.execute(
            "UPDATE calls SET source = source || '+gateway' WHERE id = ? AND source IN ('session_file', 'otlp')", (row,)
        )
    else:
        connection.execute(
            "UPDATE calls SET source = source || '+' || ? WHERE id = ? AND source = 'gateway'", (source, row)
        )


def first(source: str) -> str:
    """The source that counted a call, of all that told of it."""
    return source.partition("+")[0]
