"""Reserves before and counts after each call, in one thread that has the ledger: no stream waits for a disk.

A call whose client does not tell all that its session file will (a sub-agent's name, the session) waits six seconds
before it is counted, so that the file tells of it first; until then its tokens stay reserved. Where a ledger fails,
calls go on: a defect of ours stops nobody.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..agents.bindings import ACTIVE_SECONDS
from ..agents.hooks.budgets import Standing, message
from ..agents.ledger import claims
from ..agents.ledger import gateway as told
from ..agents.ledger.attribution import UNKNOWN
from ..agents.ledger.ledger import Ledger
from ..agents.ledger.pairing import ANONYMOUS
from ..agents.reading.read import Reading as Found
from ..domain.personas import Persona, config_signature, load_catalogue
from ..errors import HypertoolError, TokenBudgetExceeded
from ..llm.calls.reservations import reserve, take
from ..metrics.collector import get_persona_metrics
from ..runtime.logs import once
from .call import Call, wanted

if TYPE_CHECKING:
    from ..llm.calls.reservations import Reservation

SOURCE = "gateway"
WAIT_SECONDS = 6.0
RELOAD_SECONDS = 2.0
MAX_WAITING = 10_000
CLAIM_SECONDS = 60.0
"""A claim is written at most this often while an agent's base URL stays the same."""


class Refusal(Exception):
    """A call that its budget does not allow; the text is for the person at the agent."""


class Books:
    """All methods but `blocks`, `persona` and `is_new` belong to one thread."""

    def __init__(self) -> None:
        self._catalogue = load_catalogue()
        self._seen = config_signature()
        self._looked = time.monotonic()
        self._ledger: Ledger | None = None
        self._collector = get_persona_metrics()
        self._waiting: list[Call] = []
        self._bound: set[tuple[str, str, str]] = set()
        self._claimed: dict[str, tuple[str, float]] = {}
        self._loose: dict[str, tuple[str, float]] = {}
        self._numbers = 0

    # What the event loop asks

    @property
    def blocks(self) -> bool:
        """Whether any budget blocks: else no call needs a reservation."""
        return any(persona.on_exceed == "block" for persona in self._catalogue.personas.values())

    def persona(self, name: str) -> str:
        """The persona with that name or alias. Raises ValueError that names the known ones."""
        return self._catalogue.resolve(name).name if name else UNKNOWN

    def is_new(self, call: Call) -> bool:
        """Whether `begin` has something to write for this call: then it must not start before."""
        if call.persona == UNKNOWN or (call.client.agent == ANONYMOUS and not call.session):
            return False
        if call.session:
            return (call.client.agent, call.session, call.persona) not in self._bound
        persona, since = self._claimed.get(call.client.agent, ("", 0.0))
        return persona != call.persona or time.monotonic() - since >= CLAIM_SECONDS

    # Before a call

    def admit(self, call: Call, body: bytes) -> None:
        """Reserve what the call may use, where its budget blocks. Raises Refusal."""
        try:
            with self._opened() as ledger:
                if not call.session:
                    self._claim(ledger, call)
                self._find_session(ledger, call)
                self._bind(ledger, call)
                persona = self._persona_of(ledger, call)
                if persona is not None and persona.on_exceed == "block":
                    self._forget_counted(ledger)
                    self._reserve(ledger, call, persona, body)
        except (HypertoolError, sqlite3.Error, OSError) as error:
            once.warn("gateway-admit", f"the gateway cannot see budgets for now, calls go on: {error}")

    def begin(self, call: Call) -> None:
        """Note whose the call is, before any other source tells of it. Never raises."""
        try:
            with self._opened() as ledger:
                if call.session:
                    self._bind(ledger, call)
                else:
                    self._claim(ledger, call)
        except (HypertoolError, sqlite3.Error, OSError) as error:
            once.warn(
                "gateway-begin", f"the gateway cannot write the personas of sessions for now, calls go on: {error}"
            )

    def _claim(self, ledger: Ledger, call: Call) -> None:
        """A client that does not tell its session: what nothing has bound belongs to the persona of its base URL."""
        if self.is_new(call):
            with ledger.writing():
                claims.claim(ledger.connection, call.client.agent, call.whose, call.at)
            self._claimed[call.client.agent] = (call.persona, time.monotonic())

    def _find_session(self, ledger: Ledger, call: Call) -> None:
        """Name a session that the client does not tell: the agent's newest active one, else one of our own."""
        if call.session:
            return
        now, agent = time.time(), call.client.agent
        found = told.newest_session(ledger, agent, now - ACTIVE_SECONDS) if agent != "other" else ""
        if not found or found.startswith("gateway-"):
            name, last = self._loose.get(agent, ("", 0.0))
            found = name if now - last < ACTIVE_SECONDS else f"gateway-{int(now)}"
            self._loose[agent] = (found, now)
        call.session = found

    def _bind(self, ledger: Ledger, call: Call) -> None:
        """An unbound session belongs to the persona of its base URL, from its first call on."""
        agent, key = call.client.agent, (call.client.agent, call.session, call.persona)
        if call.persona == UNKNOWN or key in self._bound:
            return
        if ledger.binding(agent, call.session, call.at) is None:
            with ledger.writing():
                ledger.bind(agent, call.session, call.whose, 0.0)
        if len(self._bound) >= MAX_WAITING:
            self._bound.clear()
        self._bound.add(key)

    def _persona_of(self, ledger: Ledger, call: Call) -> Persona | None:
        agent, subagent = call.client.agent, call.client.subagent_id
        named = ledger.subagent(agent, subagent) if subagent else ""
        own = self._catalogue.find(named) if named else None
        bound = ledger.binding(agent, call.session, call.at) or call.whose
        return own or self._catalogue.find(bound.persona)

    def _reserve(self, ledger: Ledger, call: Call, persona: Persona, body: bytes) -> None:
        prompt, arguments = wanted(body)
        call.reset = ledger.resets.read().get(persona.name, 0)
        agent, session = call.client.agent, call.session
        try:
            if persona.window != "run":
                call.reservation = reserve(self._collector, persona, None, prompt, arguments)
                return
            recorder = self._collector.recorder
            limit = persona.tokens_in(ledger.workflow(agent, session))
            left = ledger.left(agent, session, persona.name)
            key = (f"{agent} {session}", persona.name)
            with recorder.lock:
                call.reservation = take(
                    recorder, persona, key, limit, limit if left is None else left, prompt, arguments
                )
        except TokenBudgetExceeded as error:
            with contextlib.suppress(HypertoolError, sqlite3.Error, OSError), ledger.writing():
                told.count_refused(ledger, agent, persona.name, call.model or UNKNOWN)
            raise Refusal(message(Standing(persona, error.limit, error.remaining))) from None

    # After a call

    def settle(self, call: Call) -> None:
        """Take an ended call: count it now if everything about it is known, else soon. Never raises."""
        usage = call.usage
        if call.reservation is not None:
            with self._collector.recorder.lock:
                call.reservation.hold(usage.total if usage is not None else 0)
        if len(self._waiting) >= MAX_WAITING:
            once.warn("gateway-full", f"{MAX_WAITING} calls wait for the ledger; further ones are not counted")
            return self._release(call)
        self._waiting.append(call)
        if call.client.told:
            self.count(time.monotonic())
        return None

    def count(self, now: float, everything: bool = False) -> None:
        """Count what has waited long enough, or everything at the end. Never raises."""
        ready = [one for one in self._waiting if everything or one.client.told or now - one.ended >= WAIT_SECONDS]
        if not ready:
            return
        try:
            with self._opened() as ledger:
                with ledger.writing():
                    for call in ready:
                        self._find_session(ledger, call)
                        self._count(ledger, call)
                kept = {id(one) for one in ready}
                self._waiting = [one for one in self._waiting if id(one) not in kept]
                for call in ready:
                    self._release(call)
        except (HypertoolError, sqlite3.Error, OSError) as error:
            once.warn("gateway-count", f"calls cannot be counted for now, the gateway tries again: {error}")

    def _count(self, ledger: Ledger, call: Call) -> None:
        agent, usage = call.client.agent, call.usage
        if usage is not None:
            self._numbers += 1
            entry = call.for_ledger(usage, f"gateway-{id(self)}-{self._numbers}-{call.at}")
            ledger.ingest(agent, Found([entry], [], None), SOURCE, "", call.whose)
            return
        if call.keys and told.knows(ledger, agent, call.keys):
            return  # the session's file knows what was used until the cut
        persona = self._persona_of(ledger, call)
        name = persona.name if persona is not None else UNKNOWN
        told.count_unread(ledger, name, call.model or UNKNOWN, call.outcome, call.missing)

    def _release(self, call: Call) -> None:
        reservation: Reservation | None = call.reservation
        if reservation is None:
            return
        call.reservation, usage = None, call.usage
        with self._collector.recorder.lock:
            reservation.release(usage.total if usage is not None else None)
        if reservation.shared:
            self._collector.core.publish_soon()

    def _forget_counted(self, ledger: Ledger) -> None:
        """Give back what is held for ended calls that session files have told of meanwhile, or from before a reset."""
        resets = ledger.resets.read()
        for call in self._waiting:
            if call.reservation is None:
                continue
            if call.reset < resets.get(call.reservation.persona, 0) or (
                call.keys and told.knows(ledger, call.client.agent, call.keys)
            ):
                self._release(call)

    # The ledger

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Ledger]:
        """The ledger of this thread, with the personas as they are now; closed after an error."""
        self._reload()
        if self._ledger is None:
            self._ledger = Ledger(self._catalogue)
        try:
            yield self._ledger
        except (sqlite3.Error, OSError):
            self.close()
            raise

    def _reload(self) -> None:
        if time.monotonic() - self._looked < RELOAD_SECONDS:
            return
        self._looked = time.monotonic()
        signature = config_signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._catalogue = load_catalogue()
        except HypertoolError as error:
            once.warn(f"gateway-config {error}", f"keeping the personas as they were: {error}")
            return
        self.close()

    def tick(self) -> None:
        """Each second: take a changed configuration, count what has waited. Never raises."""
        self._reload()
        self.count(time.monotonic())

    def finish(self) -> None:
        """Count everything and close. Never raises."""
        self.count(time.monotonic(), everything=True)
        self.close()

    def close(self) -> None:
        """Close the ledger; it is opened again when it is needed."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
