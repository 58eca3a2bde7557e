"""Finds the agent's session that a command runs in, and binds it when its persona switches."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ..runtime.light_typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from ..domain.personas import Catalogue
    from .hooks.budgets import Standing
    from .ledger.attribution import Attribution

# The variables that agents set in their own shells and hooks.
_VARIABLES = (
    ("CLAUDE_CODE_SESSION_ID", "claude-code"),
    ("CODEX_SESSION_ID", "codex"),
    ("CODEX_THREAD_ID", "codex"),
    ("QWEN_CODE_SESSION_ID", "qwen-code"),
    ("COPILOT_AGENT_SESSION_ID", "copilot-cli"),
    ("GEMINI_SESSION_ID", "gemini-cli"),
)
ACTIVE_SECONDS = 900.0


class Session(NamedTuple):
    """An agent's session."""

    agent: str
    id: str


def session_here(environment: Mapping[str, str]) -> Session | None:
    """The session of the agent whose shell this is, or None: from its variables, else from the processes above."""
    for variable, agent in _VARIABLES:
        value = environment.get(variable)
        if value:
            from .calls import text

            found = text(value)
            if found:
                return Session(agent, found)
    from .processes import agent_above

    running = agent_above()
    if running is None:
        return None
    from .process_sessions import session_of  # only below an agent, so that commands start without it

    session = session_of(running, os.path.expanduser("~"), environment)
    return Session(running.agent, session) if session else None


def switch(
    catalogue: Catalogue, workspace: Path, session: Session | None, before: Attribution | None, to: Attribution
) -> bool:
    """Bind the session from now on; earlier calls keep the earlier persona. Returns whether a session was bound.

    Without a session (a person's own terminal), the workspace's sessions that follow its persona switch to the new one.
    Raises HypertoolError or sqlite3.Error if the ledger cannot be written.
    """
    from .ledger import location

    if session is None and not location.exists():
        return False
    from .ledger.attribution import Attribution, wanted
    from .ledger.ledger import Ledger

    ledger = Ledger(catalogue)
    now = time.time()
    try:
        with ledger.writing():
            if session is None:
                following = ledger.sessions_bound_to(before, workspace.name, now - ACTIVE_SECONDS) if before else []
                for agent, name in following:
                    ledger.bind(agent, name, to, now)
                return bool(following)
            known = ledger.binding(session.agent, session.id, now)
            if known is None:
                known = wanted() or before or Attribution()
                ledger.bind(session.agent, session.id, known, 0.0)
            ledger.bind(session.agent, session.id, to._replace(workflow=to.workflow or known.workflow), now)
    finally:
        ledger.close()
    return True


def standing_here(catalogue: Catalogue, session: Session) -> Standing | None:
    """The budget that a session's next call counts to; None if it is not bound. Raises like `switch`."""
    from .ledger import location

    if not location.exists():
        return None
    from .hooks.budgets import standing
    from .hooks.events import Event
    from .hooks.owners import owner
    from .ledger.ledger import Ledger

    ledger = Ledger(catalogue)
    try:
        event = Event(session.agent, "", "other", session.id, "", "")
        return standing(ledger, event, owner(ledger, event, None))
    finally:
        ledger.close()
