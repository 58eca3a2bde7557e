"""The remaining budget for an agent's next call, and the message about it."""

from __future__ import annotations

import time

from ...domain.budget_windows import WINDOW_SECONDS, window_start
from ...domain.personas import HOST_FILE, Persona
from ...runtime.light_typing import NamedTuple
from ..ledger.attribution import UNKNOWN, Attribution
from ..ledger.ledger import Ledger
from .events import Event


class Standing(NamedTuple):
    """A persona's budget at an event of an agent."""

    persona: Persona
    limit: int
    left: int

    @property
    def blocks(self) -> bool:
        """Whether the next call must be blocked."""
        return self.persona.on_exceed == "block" and self.left <= 0


def standing(ledger: Ledger, event: Event, bound: Attribution | None) -> Standing | None:
    """The budget that applies at this event: of the sub-agent's persona, else of the one that the session is bound to.

    None without one.
    """
    own = ledger.catalogue.find(event.subagent) if event.subagent else None
    name = own.name if own is not None else bound.persona if bound is not None else UNKNOWN
    persona = ledger.catalogue.find(name)
    if persona is None:
        return None
    limit = persona.tokens_in(ledger.workflow(event.agent, event.session))
    if persona.window == "run":
        return Standing(persona, limit, ledger.left(event.agent, event.session, persona.name) or 0)
    from ...store.budgets import budgets  # imported here, because a budget of a run does not need the store
    from ...store.store import Store

    totals = Store(ledger.directory).merge().totals
    state = budgets(ledger.catalogue, totals, ledger.resets.read(), time.time()).get(persona.name)
    return Standing(persona, state.limit, state.remaining) if state is not None else None


def message(found: Standing) -> str:
    """A message with budget, use, the time of the next refill, and who can raise the budget."""
    name, window = found.persona.name, found.persona.window
    used = found.limit - found.left
    over = f"{-found.left} over" if found.left < 0 else f"{found.left} left"
    if window == "run":
        full = "full again with the next session"
    else:
        start = window_start(window, time.time()) + WINDOW_SECONDS[window]
        full = f"full again at {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(start))}"
    source = found.persona.source if found.persona.source != "package" else str(HOST_FILE)
    return (
        f"Hypertool: the token budget of {name} is {found.limit} a {window}, {used} used ({over}); {full}, or after "
        f"`tta-persona budget --persona {name} --reset`. Who may edit {source} can raise it: "
        f"[personas.{name}] tokens."
    )
