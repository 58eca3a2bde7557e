"""Cline CLI: `~/.cline/data/sessions/<id>/<id>.messages.json`, one document, rewritten at every message."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, counts, guarded, mapping, moved, part, seconds, text
from ..folders import folder
from .sources import directories, files_in

NAME = "cline"
FORMAT = "document"
_SUBAGENT = "__agent_"


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every session's messages, including those of sub-agents."""
    for session in directories(folder(NAME, home, environment, "sessions")):
        yield from files_in(session, ".messages.json")


def with_subagents(session: str) -> Iterator[str]:
    """All files beside that one: sub-agents' messages are in the same folder."""
    yield from files_in(os.path.dirname(session), ".messages.json")


def read_document(document: dict[str, Any]) -> Iterator[Read]:
    """Every call of the session so far."""
    origin = mapping(document.get("origin"))
    own = text(origin.get("parentThreadId")) or text(origin.get("sessionId")) or text(document.get("sessionId"))
    session = own.partition(_SUBAGENT)[0]  # a sub-agent's own id begins with its session's
    version = text(origin.get("version"))
    agent = text(document.get("agent"))
    messages = document.get("messages")
    if messages.__class__ is not list:
        yield Unrecognised("unknown_format", version)
        return
    for given in messages:
        message = mapping(given)
        if message.get("role") != "assistant":
            if given.__class__ is not dict or "inputTokens" in mapping(message.get("metrics")):
                yield Unrecognised("unknown_format", version)
        else:
            yield guarded(version, _call, message, session, version, "" if agent == "lead" else agent)


def _call(message: dict[str, Any], session: str, version: str, agent: str) -> Read:
    metrics = mapping(message.get("metrics"))
    if not metrics:  # not answered yet, or interrupted before there was a usage
        odd = message.get("metrics") not in (None, {}) or moved(message, "outputTokens")
        return Unrecognised("no_usage", version) if odd else None
    identity = text(message.get("id"))
    if not identity:
        return Unrecognised("no_id", version)
    given, output, cached, written = counts(
        metrics, ("inputTokens", "outputTokens"), ("cacheReadTokens", "cacheWriteTokens")
    )
    return AgentCall(
        NAME,
        session,
        (identity,),
        seconds(message.get("ts")),
        text(mapping(message.get("modelInfo")).get("id")),
        Tokens(part(given, cached, written), cached, written, output, 0),
        agent,
        "",
        version,
    )
