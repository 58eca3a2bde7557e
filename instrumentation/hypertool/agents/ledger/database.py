"""The ledger's file: its tables, its transactions."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ...errors import HypertoolError
from ...runtime.light_modules import sqlite3
from .location import FILE

VERSION = 1
HOOK_SECONDS = 0.25
"""How long a hook waits for another process's transaction; its calls are then counted by the next hook."""

_SCHEMA = """
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, agent TEXT NOT NULL, session TEXT NOT NULL, at REAL NOT NULL, model TEXT NOT NULL,
  persona TEXT NOT NULL, chatmode TEXT NOT NULL, workflow TEXT NOT NULL, workspace TEXT NOT NULL,
  subagent TEXT NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL,
  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
  output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
  nano_usd INTEGER NOT NULL DEFAULT 0, priced INTEGER NOT NULL DEFAULT 0);
CREATE INDEX calls_at ON calls (at);
CREATE INDEX calls_unpriced ON calls (id) WHERE priced = 0;
CREATE TABLE keys (
  agent TEXT NOT NULL, key TEXT NOT NULL, call INTEGER NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (agent, key)) WITHOUT ROWID;
CREATE TABLE days (
  day INTEGER NOT NULL, agent TEXT NOT NULL, persona TEXT NOT NULL, model TEXT NOT NULL, workspace TEXT NOT NULL,
  calls INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
  output INTEGER NOT NULL, reasoning INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
  PRIMARY KEY (day, agent, persona, model, workspace)) WITHOUT ROWID;
CREATE TABLE sessions (
  agent TEXT NOT NULL, session TEXT NOT NULL, workflow TEXT NOT NULL, workspace TEXT NOT NULL,
  source TEXT NOT NULL, seen REAL NOT NULL, noted REAL NOT NULL, ended INTEGER NOT NULL,
  PRIMARY KEY (agent, session)) WITHOUT ROWID;
CREATE TABLE accounts (
  agent TEXT NOT NULL, session TEXT NOT NULL, persona TEXT NOT NULL, used INTEGER NOT NULL,
  reset INTEGER NOT NULL, told INTEGER NOT NULL, exceeded INTEGER NOT NULL,
  PRIMARY KEY (agent, session, persona)) WITHOUT ROWID;
CREATE TABLE bindings (
  agent TEXT NOT NULL, session TEXT NOT NULL, at REAL NOT NULL, persona TEXT NOT NULL, chatmode TEXT NOT NULL,
  workflow TEXT NOT NULL);
CREATE INDEX bindings_of ON bindings (agent, session, at);
CREATE TABLE subagents (
  agent TEXT NOT NULL, subagent TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (agent, subagent)) WITHOUT ROWID;
CREATE TABLE positions (
  device INTEGER NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL, head_size INTEGER NOT NULL,
  head INTEGER NOT NULL, stamp TEXT NOT NULL, context TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (device, inode)) WITHOUT ROWID;
CREATE TABLE labels (label TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (label, value)) WITHOUT ROWID;
CREATE TABLE personas (signature TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE heard (agent TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (batch TEXT PRIMARY KEY, data TEXT NOT NULL, ready_in TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(where: Path, seconds: float) -> sqlite3.Connection:
    """Open the ledger, created if missing. A damaged one is kept aside and replaced by a new one.

    Raises HypertoolError with the reason and the next step.
    """
    path = where / FILE
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if where.is_symlink() or where.stat().st_uid != os.geteuid():
            raise HypertoolError(
                f"the ledger of agents cannot be kept in {where}: it is a link or another user's; remove it, or set "
                "HYPERTOOL_STATE_DIR or XDG_STATE_HOME to a directory of yours"
            )
        try:
            return _open(path, seconds)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "not a database" not in str(error):
                raise
            aside = path.with_name(f"ledger.corrupt-{time.time_ns()}.db")
            os.replace(path, aside)
            for rest in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}{rest}", f"{aside}{rest}")
            return _open(path, seconds)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise HypertoolError(
            f"the ledger of agents {path} cannot be used: {reason}; make {where} writable for this user and see that "
            "there is space"
        ) from None


def _open(path: Path, seconds: float) -> sqlite3.Connection:
    created = not os.path.exists(path)
    if created:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    connection = sqlite3.connect(path, timeout=seconds, isolation_level=None)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            _create(connection)
        # With a write-ahead log, commits do not wait for the disk, nor readers and the writer for each other.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:  # another process was faster
            return
        if version:
            raise HypertoolError(
                f"the ledger of agents has format {version}, this version of hypertool has {VERSION}; run the version "
                "that wrote it, or move ledger.db away to start anew"
            )
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, one writer at a time. Raises sqlite3.OperationalError if another process writes for too long."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
