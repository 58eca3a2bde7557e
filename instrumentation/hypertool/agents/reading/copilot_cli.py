"""GitHub Copilot CLI: `~/.copilot/session-state/<session>/events.jsonl`, one `session.usage_record` per call."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, counts, mapping, part, seconds, text
from ..folders import folder
from .sources import directories, files_in

NAME = "copilot-cli"
FORMAT = "lines"
MARKERS = (b'"session.usage_record"', b'"session.start"', b'"session.resume"', b'"subagent.', b'"inputTokens"')


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every session's events."""
    base = folder(NAME, home, environment)
    for session in directories(os.path.join(base, "session-state")):
        yield from files_in(session, "events.jsonl")


def with_subagents(session: str) -> Iterator[str]:
    """Only that file: sub-agents write to it."""
    yield session


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in an event; remembers session, version and the names of sub-agents."""
    kind, data = record.get("type"), mapping(record.get("data"))
    if kind == "session.start":
        context["session"] = text(data.get("sessionId"))
        context["version"] = text(data.get("copilotVersion"))
    elif kind == "session.resume":
        context["version"] = text(data.get("copilotVersion")) or context.get("version", "")
    elif kind in ("subagent.started", "subagent.selected"):
        identity = text(record.get("agentId")) or text(data.get("agentId"))
        if identity:
            context["agent:" + identity] = text(data.get("agentName"))
    elif kind == "session.usage_record":
        return _call(record, mapping(data.get("usage")), context)
    elif "inputTokens" in mapping(data.get("usage")):
        return Unrecognised("unknown_format", context.get("version", ""))
    return None


def _call(record: dict[str, Any], usage: dict[str, Any], context: dict[str, str]) -> Read:
    version = context.get("version", "")
    if not usage:
        return Unrecognised("no_usage", version)
    accounting = mapping(usage.get("accounting"))
    call = text(usage.get("apiCallId"))
    accounted = text(accounting.get("usageId"))
    keys = tuple(dict.fromkeys(key for key in (call, accounted) if key))
    if not keys:
        return Unrecognised("no_id", version)
    given, output, cached, written, thought = counts(
        usage, ("inputTokens", "outputTokens"), ("cacheReadTokens", "cacheWriteTokens", "reasoningTokens")
    )
    agent = text(record.get("agentId"))
    return AgentCall(
        NAME,
        context.get("session", "") or text(accounting.get("sourceSessionId")),
        keys,
        seconds(record.get("timestamp")),
        text(usage.get("model")),
        Tokens(part(given, cached, written), cached, written, part(output, thought), thought),
        context.get("agent:" + agent, "") if agent else "",
        agent,
        version,
    )
