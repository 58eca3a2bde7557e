"""Claude Code: `~/.claude/projects/<directory>/<session>.jsonl`, sub-agents in `<session>/subagents/agent-*.jsonl`.

A message has one line per content block, each with the usage so far: all lines with one `message.id` are one call.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, counts, mapping, part, seconds, text, whole
from ..folders import folder
from .sources import directories, files_in

NAME = "claude-code"
FORMAT = "lines"
MARKERS = (b'"assistant"', b'"output_tokens"')
# Written by the client itself: an error shown as an answer, without a model call.
_SYNTHETIC = "<synthetic>"


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every session file, including those of sub-agents."""
    base = folder(NAME, home, environment)
    for project in directories(os.path.join(base, "projects")):
        for session in files_in(project, ".jsonl"):
            yield from with_subagents(session)
        for session in directories(project):
            if not os.path.lexists(session + ".jsonl"):
                yield from files_in(os.path.join(session, "subagents"), ".jsonl")


def with_subagents(session: str) -> Iterator[str]:
    """The session's file and those of its sub-agents."""
    yield session
    yield from files_in(os.path.join(session.removesuffix(".jsonl"), "subagents"), ".jsonl")


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in a line, or None."""
    message = mapping(record.get("message"))
    if record.get("type") != "assistant":
        unknown = "output_tokens" in mapping(message.get("usage"))
        return Unrecognised("unknown_format", text(record.get("version"))) if unknown else None
    model, version = text(message.get("model")), text(record.get("version"))
    context["version"] = version or context.get("version", "")  # for lines that cannot be read
    if model == _SYNTHETIC or record.get("isApiErrorMessage") is True:
        return None
    identity, request = text(message.get("id")), text(record.get("requestId"))
    if not identity and not request:
        return Unrecognised("no_id", version)
    usage = mapping(message.get("usage"))
    if not usage:
        return Unrecognised("no_usage", version)
    given, output, read_, written = counts(
        usage, ("input_tokens", "output_tokens"), ("cache_read_input_tokens", "cache_creation_input_tokens")
    )
    thinking = whole(mapping(usage.get("output_tokens_details")).get("thinking_tokens"))
    return AgentCall(
        NAME,
        text(record.get("sessionId")),
        tuple(key for key in (identity, request) if key),
        seconds(record.get("timestamp")),
        model,
        Tokens(given, read_, written, part(output, thinking), thinking),
        text(record.get("attributionAgent")),
        text(record.get("agentId")),
        version,
    )
