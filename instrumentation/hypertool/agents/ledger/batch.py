"""What one transaction of the ledger adds to the host's numbers: counters, windows and the state of sessions."""

from __future__ import annotations

import json
import zlib

from ...domain.instruments import (
    AGENT_BLOCKED,
    AGENT_CALLS,
    AGENT_LAST_SEEN,
    AGENT_TOKENS,
    AGENT_UNRECOGNISED,
    BUDGET_EXCEEDED,
    LLM_COST,
    LLM_REQUESTS,
    LLM_TOKENS,
    TOKEN_KINDS,
    TOKENS,
)
from ...runtime.light_typing import Any
from ...store import snapshot_format
from ..calls import Tokens


class Batch:
    """Collects what is counted; `data` is the snapshot for the store."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, ...], int] = {}
        self.windows: dict[tuple[str, int, int], int] = {}
        self.latest: dict[tuple[str, ...], int] = {}
        self.sessions: dict[tuple[str, str], list[Any]] = {}

    def add(self, amount: int, *key: str) -> None:
        """Add to a counter."""
        if amount:
            self.counters[key] = self.counters.get(key, 0) + amount

    def call(self, agent: str, persona: str, model: str, source: str) -> None:
        """Count a new model call."""
        self.add(1, AGENT_CALLS.key, agent, persona, source)
        self.add(1, LLM_REQUESTS.key, persona, model, "success")

    def tokens(self, agent: str, persona: str, chatmode: str, model: str, tokens: Tokens) -> None:
        """Add the tokens of a call, or those that a later record of it adds."""
        for kind, amount in zip(TOKEN_KINDS, tokens, strict=True):
            self.add(amount, AGENT_TOKENS.key, agent, persona, kind)
            self.add(amount, LLM_TOKENS.key, persona, model, kind)
        self.add(tokens.total, TOKENS.key, persona, chatmode, model)

    def cost(self, persona: str, model: str, nano_usd: int) -> None:
        """Add the cost of a call, in nano-dollars."""
        self.add(nano_usd, LLM_COST.key, persona, model)

    def window(self, persona: str, start: int, reset: int, tokens: int) -> None:
        """Add tokens to an hour or day budget."""
        if tokens:
            self.windows[persona, start, reset] = self.windows.get((persona, start, reset), 0) + tokens

    def exceeded(self, persona: str) -> None:
        """Count a budget of window `run` that has just been overspent."""
        self.add(1, BUDGET_EXCEEDED.key, persona)

    def blocked(self, agent: str, persona: str) -> None:
        """Count an agent that was stopped."""
        self.add(1, AGENT_BLOCKED.key, agent, persona)

    def unrecognised(self, agent: str, reason: str) -> None:
        """Count a record that could not be parsed."""
        self.add(1, AGENT_UNRECOGNISED.key, agent, reason)

    def seen(self, agent: str, now: float) -> None:
        """Note that there was activity of that agent."""
        self.latest[AGENT_LAST_SEEN.key, agent] = int(now * 1e6)

    def session(self, agent: str, session: str, seen: float, ended: bool, left: list[list[Any]]) -> None:
        """Set the state of a session: persona, remaining tokens and reset for each of its budgets."""
        self.sessions[agent, session] = [agent, fingerprint(session), seen, ended, left]

    def empty(self) -> bool:
        """Whether there is nothing for the store."""
        return not (self.counters or self.windows or self.sessions or self.latest)

    def data(self, now: float) -> str:
        """The snapshot, as JSON text."""
        rows = snapshot_format.rows(
            counters=self.counters,
            histograms=(),
            latest=self.latest,
            open_stages=(),
            pending={},
            active=(),
            ended=(),
            windows=self.windows,
            limits=(),
            agent_sessions=self.sessions.values(),
        )
        return json.dumps({snapshot_format.TAKEN: now, **rows}, separators=(",", ":"))


def fingerprint(session: str) -> str:
    """A session's name in the store, where other users can read it, instead of its id."""
    raw = session.encode("utf-8", "surrogatepass")
    return f"{zlib.crc32(raw):08x}{zlib.crc32(raw[::-1], 1):08x}"
