"""A workflow run as one process sees it: its active persona session and its budget accounts."""

from __future__ import annotations

import os

from ..domain.budget_windows import SHARES, shares_reached
from ..domain.personas import Persona

_NEVER = float("inf")


class Account:
    """One run's use of one persona's budget. Changed only under the recorder's lock."""

    __slots__ = ("exceeded", "limit", "next_threshold", "persona", "told", "used", "windowed")

    def __init__(self, persona: Persona, workflow: str | None) -> None:
        self.persona = persona
        self.limit = persona.tokens_in(workflow)
        self.used = 0
        self.told = 0
        self.exceeded = False
        self.windowed = persona.window != "run"
        # Tokens at which `reached` has something to report; compared on every call instead of the shares.
        self.next_threshold = next_threshold(self.limit, 0)

    @property
    def remaining(self) -> int:
        """Tokens left; negative when overspent."""
        return self.limit - self.used

    def debit(self, tokens: int) -> bool:
        """Use `tokens` of the budget; True if that overspends it for the first time in this window."""
        self.used = used = self.used + tokens
        if used <= self.limit or self.exceeded:
            return False
        self.exceeded = True
        return True

    def refill(self) -> None:
        """Start a new window with the full budget."""
        self.used = self.told = 0
        self.exceeded = False
        self.next_threshold = next_threshold(self.limit, 0)

    def reached(self) -> tuple[int, ...]:
        """The thresholds (per cent) reached since the last call; each is returned once."""
        shares = shares_reached(self.used, self.limit, self.told)
        if shares:
            self.told = shares[-1]
            self.next_threshold = next_threshold(self.limit, self.told)
        return shares


def next_threshold(limit: int, told: int) -> float:
    """The use in tokens at which the first threshold above `told` per cent is reached; infinite after the last."""
    return next((-(-limit * share // 100) for share in SHARES if share > told), _NEVER)


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
        """The active chatmode, else the one that the run was opened with."""
        session = self.session
        return session.chatmode if session is not None else self.default_chatmode
