"""opencode: the SQLite database `~/.local/share/opencode/opencode.db`; an assistant's message is one call.

The call that generates the session's title is not in it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from time import monotonic

from ...runtime.light_typing import Any
from ..calls import AgentCall, Inconsistent, Read, Tokens, Unrecognised, counts, mapping, seconds, text, whole
from ..folders import folder
from .sources import readable_by_us

NAME = "opencode"
FORMAT = "database"
ROWS_AT_ONCE = 2000
QUERY_SECONDS = 2.0
MAX_VALUE = 64 << 20
Key = tuple[int, int]
# A view may have no end, and a virtual table runs code.
_TABLES = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('message', 'session')"
    " AND sql LIKE 'CREATE TABLE%'"
)
_COLUMNS = (
    "SELECT id, session_id, data, (SELECT parent_id FROM session s WHERE s.id = m.session_id LIMIT 1),"
    " (SELECT version FROM session s WHERE s.id = m.session_id LIMIT 1), time_updated, rowid FROM message m"
)
_TIMELY = "(typeof(time_updated) = 'integer' AND time_updated BETWEEN 0 AND ?)"
_CHANGED = f"{_COLUMNS} WHERE {_TIMELY} AND (time_updated, rowid) > (?, ?) ORDER BY time_updated, rowid LIMIT ?"
_UNTIMELY = f"{_COLUMNS} WHERE NOT {_TIMELY} ORDER BY rowid DESC LIMIT ?"
# The names of its own agents; sub-agents and a user's own agents have other names.
_MAIN = frozenset({"build", "plan", "compaction", "title", "summary"})


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """The database, if it exists."""
    path = os.path.join(folder(NAME, home, environment, "data"), "opencode.db")
    if os.path.exists(path):
        yield path


def with_subagents(session: str) -> Iterator[str]:
    """Only that file."""
    yield session


def read_database(path: str, after: Key, now: int) -> Iterator[tuple[Key | None, Read]]:
    """Calls in messages that changed later than `after`, the oldest first, at most ROWS_AT_ONCE, each with its key.

    A key is the change time in milliseconds since the epoch and the row's id. Unless there are more, the messages whose
    time is none follow without a key, at every reading: those from after `now`, and (unrecognised) those without a
    number. Raises OSError or sqlite3.Error.
    """
    import sqlite3

    if not readable_by_us(path):
        return
    connection = _opened(path)
    try:
        if connection.execute(_TABLES).fetchone() != (2,):
            raise sqlite3.OperationalError("no tables `message` and `session`")
        number = 0
        for *message, updated, row in connection.execute(_CHANGED, (now, *after, ROWS_AT_ONCE)):
            number += 1
            yield (updated, row), _call(message, updated / 1000)
        if number < ROWS_AT_ONCE:
            for *message, updated, _ in connection.execute(_UNTIMELY, (now, ROWS_AT_ONCE)):
                known = updated.__class__ is int and updated > now
                yield None, _call(message) if known else Unrecognised("malformed", text(message[-1]))
    finally:
        connection.close()


def origin_of(path: str, session: str) -> tuple[object, object]:
    """Directory and start (milliseconds since the epoch) of a session. Raises OSError or sqlite3.Error."""
    import sqlite3

    if not readable_by_us(path):
        return "", 0
    with contextlib.closing(_opened(path)) as connection:
        if connection.execute(_TABLES).fetchone() != (2,):
            return "", 0
        query = "SELECT directory, time_created FROM session WHERE id = ? LIMIT 1"
        try:
            row = connection.execute(query, (session,)).fetchone()
        except sqlite3.OperationalError:  # without such a column
            row = None
    return (row[0], row[1]) if row is not None else ("", 0)


def _opened(path: str) -> Any:
    import sqlite3

    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=0.2)
    _harden(connection)
    return connection


def _harden(connection: Any) -> None:
    """Bound what a database can cost: its schema may hold anything."""
    end = monotonic() + QUERY_SECONDS
    connection.set_progress_handler(lambda: monotonic() > end, 10_000)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    if hasattr(connection, "setlimit"):  # Python 3.11
        connection.setlimit(0, MAX_VALUE)  # SQLITE_LIMIT_LENGTH


def _call(row: list[Any], updated: float = 0.0) -> Read:
    message_id, session_id, data, parent, agents_version = row
    # A message with its usage but without its end was begun long before the call where opencode had to start up first.
    identity, session, version = text(message_id), text(parent) or text(session_id), text(agents_version)
    try:
        message = mapping(json.loads(data))
        tokens = mapping(message.get("tokens"))
        if message.get("role") != "assistant":
            return Unrecognised("unknown_format", version) if tokens else None
        time = mapping(message.get("time"))
        cache = mapping(tokens.get("cache"))
        if not tokens:
            unfinished = message.get("tokens") in (None, {}) and not time.get("completed")
            return None if unfinished else Unrecognised("no_usage", version)
        given, output, thought = counts(tokens, ("input", "output", "reasoning"))
        cached, written = counts(cache, ("read", "write"))
        found = Tokens(given, cached, written, output, thought)
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
        seconds(time.get("completed")) or updated or seconds(time.get("created")),
        text(message.get("modelID")),
        found,
        "" if name in _MAIN else name,
        "",
        version,
    )
