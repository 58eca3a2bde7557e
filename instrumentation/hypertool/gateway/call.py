"""One model call that goes through the gateway, from its request to its count."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from ..agents.calls import MAX_TOKENS, AgentCall, Tokens, text
from ..agents.ledger.attribution import UNKNOWN, Attribution
from ..llm.reading.usage import Reading, Usage
from .clients import Client
from .routes import Route

if TYPE_CHECKING:
    from ..llm.calls.reservations import Reservation

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,100})"')
_PROMPT = ("messages", "input", "contents", "prompt", "system", "instructions", "systemInstruction")


class Call:
    """`persona` is what the base URL or a header says, else `unknown`; `at` is when it began, then when it ended."""

    __slots__ = (
        "at",
        "client",
        "ended",
        "keys",
        "model",
        "outcome",
        "persona",
        "reading",
        "reservation",
        "reset",
        "session",
    )

    def __init__(self, client: Client, route: Route, persona: str, body: bytes) -> None:
        self.client = client
        self.session = client.session
        self.persona = persona
        self.model = route.model or _model(body)
        self.at = time.time()
        self.ended = 0.0
        self.keys: tuple[str, ...] = ()
        self.outcome = "error"
        self.reading: Reading | None = None
        self.reservation: Reservation | None = None
        self.reset = 0  # number of the last reset of its budget when it was reserved

    def end(self, outcome: str, reading: Reading | None, request_id: str) -> None:
        """Note how it ended, with what its answer reported and the id in the answer's headers."""
        self.outcome, self.reading = outcome, reading
        self.at, self.ended = time.time(), time.monotonic()
        identity = text(reading.id) if reading is not None else ""
        request = text(request_id) if self.client.agent == "claude-code" else ""
        self.keys = tuple(key for key in (identity, request) if key)

    @staticmethod
    def counts(reading: Reading) -> bool:
        """Whether the usage in that reading is known."""
        return isinstance(reading.usage, Usage)

    @property
    def usage(self) -> Usage | None:
        """What it used, if that is known."""
        usage = self.reading.usage if self.reading is not None else None
        return usage if isinstance(usage, Usage) and usage.total <= MAX_TOKENS else None

    @property
    def missing(self) -> str:
        """Why its usage is not known; empty if it is known, or if a failed call has none."""
        if self.reading is None or self.usage is not None:
            return ""
        usage = self.reading.usage
        return "invalid" if isinstance(usage, Usage) else usage.reason

    @property
    def whose(self) -> Attribution:
        """Whose it is if neither a sub-agent nor a binding says it."""
        return Attribution(self.persona)

    def for_ledger(self, usage: Usage, fallback: str) -> AgentCall:
        """The entry for the ledger; `fallback` is the key of an answer without an id."""
        named = self.reading.model if self.reading is not None else None
        return AgentCall(
            self.client.agent,
            self.session,
            self.keys or (fallback,),
            self.at,
            self.model or text(named) or UNKNOWN,
            Tokens(*usage[:5]),
            "",
            self.client.subagent_id,
        )


def _model(body: bytes) -> str:
    # Parsing megabytes for one name would hold up the first byte.
    found = _MODEL.search(body)
    return text(found[1].decode("utf-8", "replace")) if found is not None else ""


def wanted(body: bytes) -> tuple[Any, dict[str, Any]]:
    """Prompt and arguments of a request's body, for a reservation."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, {}
    if not isinstance(document, dict):
        return None, {}
    inner = document.get("generationConfig")
    most = inner.get("maxOutputTokens") if isinstance(inner, dict) else None
    arguments = {**document, **({"max_output_tokens": most} if most is not None else {})}
    return [document.get(name) for name in _PROMPT], arguments
