"""Whose an agent's session is, with or without a ledger that can be written now."""

from __future__ import annotations

from pathlib import Path

from ...store.sessions import Sessions
from ..ledger.attribution import Attribution, wanted
from ..ledger.ledger import Ledger
from .events import Event


def owner(ledger: Ledger, event: Event, workspace: Path | None) -> Attribution | None:
    """The session's binding, else the one that it gets at its first event; None without any."""
    return ledger.binding(event.agent, event.session, ledger.now()) or _first(workspace)


def enter(ledger: Ledger, event: Event, workspace: Path | None) -> None:
    """Bind a session that is not bound, in a transaction.

    Its calls from the start: two sessions in one workspace stay apart, whichever of them switches.
    """
    if ledger.binding(event.agent, event.session, ledger.now()) is None:
        whose = _first(workspace)
        if whose is not None:
            ledger.bind(event.agent, event.session, whose, 0.0)


def _first(workspace: Path | None) -> Attribution | None:
    """What `hypertool run` left in the environment, else the workspace's current persona."""
    active = wanted()
    if active is not None or workspace is None:
        return active
    saved = Sessions(workspace).read()
    return Attribution(saved.persona, saved.chatmode) if saved is not None else None
