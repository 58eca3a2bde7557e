"""Cline CLI: `~/.cline/data/sessions/<id>/<id>.messages.json`, one document, rewritten at every message."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, guarded, mapping, part, seconds, text, whole
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
    for message in map(mapping, messages):
        if message.get("role") == "assistant":
            yield guarded(version, _call, message, session, version, "" if agent == "lead" else agent)


def _call(message: dict[str, Any], session: str, version: str, agent: str) -> Read:
    metrics = mapping(message.get("metrics"))
    if not metrics:
        return None  # not answered yet, or interrupted before there was a usage
    identity = text(message.get("id"))
    if not identity:
        return Unrecognised("no_id", version)
    given = whole(metrics.get("inputTokens"))
    cached, written = whole(metrics.get("cacheReadTokens")), whole(metrics.get("cacheWriteTokens"))
    return AgentCall(
        NAME,
        session,
        (identity,),
        seconds(message.get("ts")),
        text(mapping(message.get("modelInfo")).get("id")),
        Tokens(part(given, cached, written), cached, written, whole(metrics.get("outputTokens")), 0),
        agent,
        "",
        version,
    )
