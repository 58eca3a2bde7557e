"""The counts on their way from the ledger to the store: each batch reaches it exactly once, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from ...errors import StoreUnavailable
from ...runtime.light_modules import sqlite3
from ...store import batches
from ...store.directory import StateDirectory
from . import database

# A batch's name is visible before it counts, so another user can take it; the next call tries further names.
NAMES_TRIED = 3


class Outbox:
    """The batches of a ledger's file that `directory`'s store has not taken yet."""

    def __init__(self, connection: sqlite3.Connection, directory: StateDirectory) -> None:
        self._connection = connection
        self._directory = directory

    def add(self, data: str) -> None:
        """Put in a batch, in the transaction of the calls that it counts."""
        self._connection.execute("INSERT INTO outbox VALUES (?, ?, '')", (os.urandom(16).hex(), data))

    def publish(self) -> None:
        """Hand new batches to the store. Refused ones stay, and are tried again next time."""
        waiting = self._connection.execute("SELECT batch FROM outbox").fetchall()
        with contextlib.suppress(StoreUnavailable, sqlite3.Error):
            for (batch,) in waiting:
                with contextlib.suppress(OSError):  # the next batch may still succeed
                    self._publish(batch)

    def _publish(self, batch: str) -> None:
        for _ in range(NAMES_TRIED):
            renamed = self._prepare(batch) or self._complete(batch)
            if renamed is None:
                return
            batches.discard(self._directory, batch)
            batch = renamed

    def _prepare(self, batch: str) -> str | None:
        # One process at a time prepares: another one might rewrite a batch that already counts.
        with database.transaction(self._connection):
            row = self._connection.execute("SELECT data, ready_in FROM outbox WHERE batch = ?", (batch,)).fetchone()
            if row is None or row[1]:
                return None
            try:
                batches.prepare(self._directory, batch, json.loads(row[0]))
            except batches.NameTaken:
                return self._rename(batch)
            self._connection.execute(
                "UPDATE outbox SET ready_in = ? WHERE batch = ?", (str(self._directory.path.absolute()), batch)
            )
            return None

    def _complete(self, batch: str) -> str | None:
        # In one transaction: no process may complete a batch while another one gives it a new name.
        with database.transaction(self._connection):
            row = self._connection.execute("SELECT ready_in FROM outbox WHERE batch = ?", (batch,)).fetchone()
            if row is None:
                return None
            try:
                batches.complete(StateDirectory(Path(row[0])), batch)
            except batches.NameTaken:
                return self._rename(batch)
            self._connection.execute("DELETE FROM outbox WHERE batch = ?", (batch,))
            return None

    def _rename(self, batch: str) -> str:
        """Give a batch whose name another user took a new one, to be prepared anew; in a transaction."""
        new = os.urandom(16).hex()
        self._connection.execute("UPDATE outbox SET batch = ?, ready_in = '' WHERE batch = ?", (new, batch))
        return new
