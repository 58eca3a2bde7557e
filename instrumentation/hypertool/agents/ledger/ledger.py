"""One entry per model call: the first source to report a call counts it, and each count reaches the store once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ...domain.instruments import LABEL_OVERFLOW
from ...domain.personas import Catalogue
from ...domain.workflows import AGENT_SESSION
from ...errors import StoreUnavailable
from ...runtime.light_modules import sqlite3
from ...runtime.light_typing import TYPE_CHECKING
from ...store.directory import locate
from ...store.requests import Resets
from ..calls import AgentCall, Tokens
from ..reading.positions import Position
from ..reading.read import Reading
from . import accounts, claims, database, location, pairing
from .attribution import UNKNOWN, Attribution
from .batch import Batch
from .outbox import Outbox
from .personas import cached_catalogue

FUTURE_SECONDS = 300.0
_KINDS = "input, cache_read, cache_write, output, reasoning"


if TYPE_CHECKING:
    from ...domain.labels import LabelGuard


class Ledger:
    """A user's ledger, with the store that receives its numbers.

    Raises HypertoolError if the ledger cannot be opened, sqlite3.Error if another process holds it for longer than
    `seconds`, or if the disk is full. A count is in the ledger first, and reaches the store with the same transaction
    or, if the store refuses it, with a later one.
    """

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        where: Path | None = None,
        seconds: float = 2.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        # Not the whole store: a hook has no time for unused imports.
        self.directory = locate()
        self.resets = Resets(self.directory)
        self._connection = database.connect(where or location.directory(), seconds)
        self.catalogue = catalogue or cached_catalogue(self._connection)
        self._outbox = Outbox(self._connection, self.directory)
        self._now = now
        self._batch = Batch()
        self._touched: set[tuple[str, str]] = set()
        self._resets: dict[str, int] = {}
        self._guard: LabelGuard | None = None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def label(self, label: str, value: str) -> str:
        """The recorded form of a label value: itself, or `other` beyond the host's limit; in a transaction."""
        row = self._connection.execute("SELECT 1 FROM labels WHERE label = ? AND value = ?", (label, value)).fetchone()
        if row is not None:
            return value
        if self._guard is None:
            # Only for a value that is new to this ledger: a hook has no time for unused imports.
            from ...domain.labels import LabelGuard
            from ...store.labels import AdmittedLabels

            self._guard = LabelGuard(
                lambda name: self._batch.add(1, LABEL_OVERFLOW.key, name),
                AdmittedLabels(self.directory).admit,
                self.catalogue.workflows,
            )
        try:
            found = self._guard.resolve(label, value)
        except (OSError, StoreUnavailable):  # the store's register is unavailable: try again next time
            from ...domain.labels import MAX_OTHERS, OTHER

            return value if self._guard.admit_here(label, value, MAX_OTHERS) else OTHER
        if found == value:
            self._connection.execute("INSERT OR IGNORE INTO labels VALUES (?, ?)", (label, value))
        return found

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open database; for the modules of this package."""
        return self._connection

    @property
    def batch(self) -> Batch:
        """The counts of the current transaction; for the modules of this package."""
        return self._batch

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: its counts belong together, and go to the store after it."""
        self._batch, self._touched = Batch(), set()
        self._resets = self.resets.read()
        with database.transaction(self._connection):
            yield
            for agent, session in self._touched:
                self._note_session(agent, session)
            if not self._batch.empty():
                self._outbox.add(self._batch.data(self._now()))
        self._outbox.publish()

    # Calls

    def ingest(self, agent: str, reading: Reading, source: str, workspace: str, default: Attribution) -> int:
        """Count the calls of a reading, in a transaction; returns how many were new.

        `default` is the attribution if neither a sub-agent's name nor a binding determines it.
        """
        new = 0
        for call in reading.calls:
            new += self._count(call, source, workspace, default)
        for one in reading.unrecognised:
            self._batch.unrecognised(agent, one.reason)
        if reading.calls or reading.unrecognised:
            self._hear(agent)
        if reading.position is not None:
            self._save(reading.position)
        return new

    def _count(self, call: AgentCall, source: str, workspace: str, default: Attribution) -> bool:
        if not call.keys:
            return False
        now = self._now()
        at = call.at if 0 < call.at < now + FUTURE_SECONDS else now
        session = call.session or "none"
        marks = ",".join("?" * len(call.keys))
        known = self._connection.execute(
            f"SELECT call FROM keys WHERE agent = ? AND key IN ({marks}) LIMIT 1", (call.agent, *call.keys)
        ).fetchone()
        row = known[0] if known is not None else pairing.pair(self._connection, call, at, source)
        if row is not None:
            self._remember_keys(call, row, at)
            self._amend(row, call.tokens, source)
            pairing.mark(self._connection, row, source)
            return False
        if source != pairing.GATEWAY:  # which knows the base URL of each of its calls
            default = claims.claimed(self._connection, call.agent, at, default)
        whose = self._attribute(call, session, at, default)
        model = self.label("model", call.model or UNKNOWN)
        chatmode = self.label("chatmode", whose.chatmode)
        cursor = self._connection.execute(
            f"INSERT INTO calls (agent, session, at, model, persona, chatmode, workflow, workspace, subagent, source, "
            f"version, {_KINDS}) VALUES ({','.join('?' * 16)})",
            (
                call.agent,
                session,
                at,
                model,
                whose.persona,
                chatmode,
                whose.workflow,
                workspace,
                call.subagent,
                source,
                call.version,
                *call.tokens,
            ),
        )
        self._remember_keys(call, cursor.lastrowid or 0, at)
        self._see(call.agent, session, at, whose.workflow, workspace, source)
        self._batch.call(call.agent, whose.persona, model, source)
        self._debit(call.agent, session, whose.persona, chatmode, model, at, call.tokens)
        return True

    def _remember_keys(self, call: AgentCall, row: int, at: float) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?)", [(call.agent, key, row, at) for key in call.keys]
        )

    def _amend(self, row: int, tokens: Tokens, source: str) -> None:
        """Update a call from a later record of the same source, which may have been incomplete when it was read."""
        found = self._connection.execute(
            f"SELECT agent, session, persona, chatmode, model, at, source, {_KINDS} FROM calls WHERE id = ?", (row,)
        ).fetchone()
        if found is None or pairing.first(found[6]) != source:
            return
        before = Tokens(*found[7:])
        more = Tokens(*(max(0, new - old) for new, old in zip(tokens, before, strict=True)))
        if tokens.total <= before.total or not more.total:
            return
        after = Tokens(*map(sum, zip(before, more, strict=True)))
        self._connection.execute(
            "UPDATE calls SET input = ?, cache_read = ?, cache_write = ?, output = ?, reasoning = ?, "
            "priced = 0 WHERE id = ?",
            (*after, row),
        )
        agent, session, persona, chatmode, model, at = found[:6]
        self._debit(agent, session, persona, chatmode, model, at, more)

    def _debit(
        self, agent: str, session: str, persona: str, chatmode: str, model: str, at: float, tokens: Tokens
    ) -> None:
        self._batch.tokens(agent, persona, chatmode, model, tokens)
        self._touched.add((agent, session))
        known = self.catalogue.personas.get(persona)
        if known is None:
            return
        reset = self._resets.get(persona, 0)
        run = accounts.Run(agent, session, known, self.workflow(agent, session))
        accounts.debit(self._connection, self._batch, run, at, self._now(), reset, tokens.total)

    # Attribution

    def _attribute(self, call: AgentCall, session: str, at: float, default: Attribution) -> Attribution:
        bound = self.binding(call.agent, session, at) or default
        name = call.subagent
        if not name and call.subagent_id:
            name = self.subagent(call.agent, call.subagent_id)
            if not name and call.task:
                name = self.subagent(call.agent, call.task)
                if name:  # it stays so, whatever is told of the same task later
                    self.name_subagent(call.agent, call.subagent_id, name)
        own = self.catalogue.find(name) if name else None
        persona = own or self.catalogue.find(bound.persona)
        # Also unknown if it was bound to a persona that is no longer configured.
        return bound._replace(persona=persona.name if persona is not None else UNKNOWN)

    def bind(self, agent: str, session: str, whose: Attribution, at: float | None = None) -> None:
        """Bind the session's calls from `at` (default: now) to that persona; earlier calls keep theirs."""
        when = self._now() if at is None else at
        known = self.binding(agent, session, when)
        if known == whose:
            return
        self._connection.execute("INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)", (agent, session, when, *whose))
        if whose.workflow:
            self._see(agent, session, when, whose.workflow, "", "")
            self._connection.execute(
                "UPDATE sessions SET workflow = ? WHERE agent = ? AND session = ?", (whose.workflow, agent, session)
            )

    def binding(self, agent: str, session: str, at: float) -> Attribution | None:
        """The session's binding at that time, or None."""
        row = self._connection.execute(
            "SELECT persona, chatmode, workflow FROM bindings WHERE agent = ? AND session = ? AND at <= ? "
            "ORDER BY at DESC, rowid DESC LIMIT 1",
            (agent, session, at),
        ).fetchone()
        return Attribution(*row) if row is not None else None

    def sessions_bound_to(self, whose: Attribution, workspace: str, since: float) -> list[tuple[str, str]]:
        """Agent and id of the workspace's active sessions whose last binding is that persona and chatmode."""
        rows = self._connection.execute(
            "SELECT agent, session FROM sessions WHERE workspace = ? AND ended = 0 AND seen >= ?", (workspace, since)
        ).fetchall()
        found = []
        for agent, session in rows:
            bound = self.binding(agent, session, self._now())
            if bound is not None and bound[:2] == whose[:2]:
                found.append((agent, session))
        return found

    def name_subagent(self, agent: str, subagent: str, name: str) -> None:
        """Remember a sub-agent's name, for calls that carry only its id."""
        self._connection.execute(
            "INSERT OR REPLACE INTO subagents VALUES (?, ?, ?, ?)", (agent, subagent, name, self._now())
        )

    def subagent(self, agent: str, known_by: str) -> str:
        """The name of the sub-agent with that id or task; empty if nobody told it, or if it is not sure."""
        row = self._connection.execute(
            "SELECT name FROM subagents WHERE agent = ? AND subagent = ?", (agent, known_by)
        ).fetchone()
        return str(row[0]) if row is not None else ""

    def name_task(self, agent: str, task: str, name: str) -> None:
        """Remember which sub-agent gets a task; one task for two names tells neither. In a transaction."""
        query = "SELECT 1 FROM subagents WHERE agent = ? AND subagent = ? AND name != ?"
        other = self._connection.execute(query, (agent, task, name)).fetchone()
        self.name_subagent(agent, task, "" if other is not None else name)

    # Sessions

    def _see(self, agent: str, session: str, at: float, workflow: str, workspace: str, source: str) -> None:
        self._touched.add((agent, session))
        self._connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO UPDATE SET "
            "seen = max(seen, excluded.seen), ended = 0, "
            "workspace = CASE workspace WHEN '' THEN excluded.workspace ELSE workspace END",
            (agent, session, workflow, workspace, source, at),
        )

    def see_session(self, agent: str, session: str, workspace: str) -> None:
        """Note activity of a session, which makes it active."""
        self._see(agent, session, self._now(), "", workspace, "")
        self._hear(agent)

    def _hear(self, agent: str) -> None:
        now = self._now()
        self._batch.seen(agent, now)
        self._connection.execute("INSERT OR REPLACE INTO heard VALUES (?, ?)", (agent, now))

    def end_session(self, agent: str, session: str) -> None:
        """End the session; new activity makes it active again."""
        self._touched.add((agent, session))
        self._connection.execute(
            "UPDATE sessions SET ended = 1, seen = ? WHERE agent = ? AND session = ?", (self._now(), agent, session)
        )

    def workflow(self, agent: str, session: str) -> str:
        """The workflow that the session is bound to, else `agent_session`."""
        row = self._connection.execute(
            "SELECT workflow FROM sessions WHERE agent = ? AND session = ?", (agent, session)
        ).fetchone()
        return row[0] if row is not None and row[0] else AGENT_SESSION

    def workspace(self, agent: str, session: str) -> str:
        """The name of the workspace that the session works in; empty if no hook reported it."""
        row = self._connection.execute(
            "SELECT workspace FROM sessions WHERE agent = ? AND session = ?", (agent, session)
        ).fetchone()
        return row[0] if row is not None else ""

    def _note_session(self, agent: str, session: str) -> None:
        row = self._connection.execute(
            "SELECT seen, noted, ended FROM sessions WHERE agent = ? AND session = ?", (agent, session)
        ).fetchone()
        if row is None:
            return
        noted = max(row[0], row[1] + 1e-5)  # two states of one session must not have the same time
        self._connection.execute(
            "UPDATE sessions SET noted = ? WHERE agent = ? AND session = ?", (noted, agent, session)
        )
        left = accounts.remaining(self._connection, agent, session, self.catalogue, self.workflow(agent, session))
        self._batch.session(agent, session, noted, bool(row[2]), left)

    def left(self, agent: str, session: str, persona: str) -> int | None:
        """Tokens left of a persona's budget in the session's run; None if the persona has no budget."""
        known = self.catalogue.find(persona)
        if known is None:
            return None
        reset = self.resets.read().get(known.name, 0)
        run = accounts.Run(agent, session, known, self.workflow(agent, session))
        return accounts.left(self._connection, run, reset)

    def share_to_tell(self, agent: str, session: str, persona: str) -> int:
        """The share of the run's budget (80 or 100 per cent) that was reached and not announced yet, else 0; marks it
        as announced. In a transaction.
        """
        known = self.catalogue.find(persona)
        if known is None or known.window != "run":
            return 0
        return accounts.tell(self._connection, accounts.Run(agent, session, known, self.workflow(agent, session)))

    def count_blocked(self, agent: str, persona: str) -> None:
        """Count a stopped agent, in a transaction."""
        self._batch.blocked(agent, persona)

    # Positions

    def position(self, device: int, inode: int) -> Position | None:
        """Where the last reading of that file ended."""
        row = self._connection.execute(
            "SELECT offset, head_size, head, stamp, context FROM positions WHERE device = ? AND inode = ?",
            (device, inode),
        ).fetchone()
        if row is None:
            return None
        offset, head_size, head, stamp, context = row
        remembered = tuple((str(name), str(value)) for name, value in json.loads(context))
        return Position(device, inode, offset, head_size, head, stamp, remembered)

    def _save(self, position: Position) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*position[:6], json.dumps(position.context), self._now()),
        )
