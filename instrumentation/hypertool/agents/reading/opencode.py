"""opencode: the SQLite database `~/.local/share/opencode/opencode.db`; an assistant's message is one call.

The call that generates the session's title is not in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from ..calls import AgentCall, Inconsistent, Read, Tokens, Unrecognised, mapping, seconds, text, whole
from .sources import readable_by_us

NAME = "opencode"
FORMAT = "database"
ROWS_AT_ONCE = 2000
# The names of its own agents; sub-agents and a user's own agents have other names.
_MAIN = frozenset({"build", "plan", "compaction", "title", "summary"})


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """The database, if it exists."""
    base = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    path = os.path.join(base, "opencode", "opencode.db")
    if os.path.exists(path):
        yield path


def with_subagents(session: str) -> Iterator[str]:
    """Only that file."""
    yield session


def read_database(path: str, since: int) -> Iterator[tuple[int, Read]]:
    """Calls in messages changed at `since` (milliseconds since the epoch) or later, each with its change time.

    Reads at most 2,000 messages at once, the oldest first. Raises OSError or sqlite3.Error.
    """
    import sqlite3

    if not readable_by_us(path):
        return
    connection = sqlite3.connect(f"file:{path.replace('?', '%3f').replace('#', '%23')}?mode=ro", uri=True, timeout=0.2)
    try:
        rows = connection.execute(
            "SELECT m.id, m.session_id, m.time_updated, m.data, s.parent_id, s.version FROM message m "
            "LEFT JOIN session s ON s.id = m.session_id WHERE m.time_updated >= ? ORDER BY m.time_updated LIMIT ?",
            (since, ROWS_AT_ONCE),
        )
        for identity, session, updated, data, parent, version in rows:
            yield int(updated), _call(text(identity), text(parent) or text(session), data, text(version))
    finally:
        connection.close()


def _call(identity: str, session: str, data: Any, version: str) -> Read:
    try:
        message = mapping(json.loads(data))
        if message.get("role") != "assistant":
            return None
        tokens = mapping(message.get("tokens"))
        time = mapping(message.get("time"))
        cache = mapping(tokens.get("cache"))
        found = Tokens(
            whole(tokens.get("input")),
            whole(cache.get("read")),
            whole(cache.get("write")),
            whole(tokens.get("output")),
            whole(tokens.get("reasoning")),
        )
        if tokens.get("total") is not None and whole(tokens.get("total")) != found.total:
            raise Inconsistent("the total is not the sum of its parts")
    except Inconsistent:
        return Unrecognised("inconsistent", version)
    except (ValueError, RecursionError, TypeError):
        return Unrecognised("malformed", version)
    if not found.total:
        return None  # in progress, or failed before there was a usage
    if not identity:
        return Unrecognised("no_id", version)
    name = text(message.get("agent")) or text(message.get("mode"))
    return AgentCall(
        NAME,
        session,
        (identity,),
        seconds(time.get("completed")) or seconds(time.get("created")),
        text(message.get("modelID")),
        found,
        "" if name in _MAIN else name,
        "",
        version,
    )
