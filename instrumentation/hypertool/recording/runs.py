"""A workflow run as one process sees it: its active persona session and its budget accounts."""

from __future__ import annotations

import os

from ..domain.personas import Persona

SHARES = (80, 100)


class Account:
    """What one run has used of one persona's budget. Changed under the recorder's lock only."""

    __slots__ = ("exceeded", "limit", "persona", "told", "used", "windowed")

    def __init__(self, persona: Persona, workflow: str | None) -> None:
        self.persona = persona
        self.limit = persona.tokens_in(workflow)
        self.used = 0
        self.told = 0
        self.exceeded = False
        self.windowed = persona.window != "run"

    @property
    def remaining(self) -> int:
        """Tokens left; negative when overspent."""
        return self.limit - self.used

    def refill(self) -> None:
        """A new window begins."""
        self.used = self.told = 0
        self.exceeded = False

    def reached(self) -> tuple[int, ...]:
        """The shares of the budget (per cent) that are used up and were not told of yet; told of by this."""
        shares = shares_reached(self.used, self.limit, self.told)
        if shares:
            self.told = shares[-1]
        return shares


def shares_reached(used: int, limit: int, told: int) -> tuple[int, ...]:
    """The soft thresholds (per cent of the limit) that are reached, beyond the one that was told of last."""
    return tuple(share for share in SHARES if told < share and used * 100 >= limit * share)


class Session:
    """The time between a switch to a persona (or to another chatmode) and the next one."""

    __slots__ = ("chatmode", "explicit", "persona", "started")

    def __init__(self, persona: str, chatmode: str, started: float, explicit: bool) -> None:
        self.persona = persona
        self.chatmode = chatmode
        self.started = started
        self.explicit = explicit


class Run:
    """One workflow run of one process; `workflow` is None for the implicit run of code outside any workflow."""

    __slots__ = ("accounts", "default_chatmode", "id", "owner", "session", "started", "workflow")

    def __init__(
        self, owner: object | None, workflow: str | None, default_chatmode: str | None, started: float
    ) -> None:
        self.id = os.urandom(16).hex()
        self.owner = owner
        self.workflow = workflow
        self.default_chatmode = default_chatmode
        self.session: Session | None = None
        self.accounts: dict[str, Account] = {}
        self.started = started

    @property
    def persona(self) -> str:
        """The active persona, `none` before the first switch."""
        session = self.session
        return session.persona if session is not None else "none"

    @property
    def chatmode(self) -> str | None:
        """The active chatmode, else the one the run was opened with."""
        session = self.session
        return session.chatmode if session is not None else self.default_chatmode
