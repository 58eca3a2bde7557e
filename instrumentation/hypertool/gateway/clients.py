"""Which agent, session and sub-agent a request is from, by the headers that the real clients send (docs/gateway.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..agents.calls import text
from ..agents.ledger.pairing import ANONYMOUS

# The beginnings of User-Agent, lower case.
_USER_AGENTS = (
    ("claude-cli/", "claude-code"),
    ("codex_", "codex"),
    ("codex/", "codex"),
    ("geminicli", "gemini-cli"),
    ("qwencode", "qwen-code"),
    ("opencode/", "opencode"),
)


class Client(NamedTuple):
    """The sender of a request. `agent` is one of AGENTS, or `other`; `session` and `subagent_id` may be empty.

    `told` is True if the headers say all that the agent's session file would: then the call can be counted at once.
    """

    agent: str
    session: str = ""
    subagent_id: str = ""
    told: bool = False


def client_of(headers: Mapping[str, str], agent: str = "") -> Client:
    """The sender; `agent` is the one that the base URL names, if any."""
    found = agent or _agent(headers)
    if found == "claude-code":
        session, subagent = _of(headers, "x-claude-code-session-id"), _of(headers, "x-claude-code-agent-id")
        return Client(found, session, subagent, bool(session) and not subagent)
    if found == "codex":
        session, thread = _of(headers, "session-id", "session_id"), _of(headers, "thread-id", "conversation_id")
        subagent = thread if thread != session else ""
        return Client(found, session, subagent, bool(session) and not subagent)
    return Client(found)


def _agent(headers: Mapping[str, str]) -> str:
    named = headers.get("User-Agent", "").lower()
    for beginning, agent in _USER_AGENTS:
        if named.startswith(beginning):
            return agent
    if "x-initiator" in headers:  # Copilot CLI sends its SDK's own User-Agent
        return "copilot-cli"
    return ANONYMOUS


def _of(headers: Mapping[str, str], *names: str) -> str:
    return next(filter(None, (text(headers.get(name, "")) for name in names)), "")
