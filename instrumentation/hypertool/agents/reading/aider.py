"""Aider: the file of `--analytics-log` (AIDER_ANALYTICS_LOG); `message_send` is one call, without an id.

While streaming, the figures are Aider's own estimates; with `--no-stream` they are those of the provider.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, counts, mapping, seconds, text

NAME = "aider"
FORMAT = "lines"
MARKERS = (b"message_send", b"launched", b"completion_tokens")


def locations(_home: str, environment: dict[str, str]) -> Iterator[str]:
    """The file that AIDER_ANALYTICS_LOG names."""
    chosen = environment.get("AIDER_ANALYTICS_LOG")
    if chosen:
        yield chosen


def with_subagents(session: str) -> Iterator[str]:
    """Only that file."""
    yield session


def opening(path: str) -> dict[str, str]:
    """What tells this log's calls and sessions from those of another run that began in the same second."""
    return {"file": f"{zlib.crc32(path.encode('utf-8', 'surrogateescape')):08x}"}


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in an event. Its key is the position in the log, given by the caller in `context`."""
    event, properties = record.get("event"), mapping(record.get("properties"))
    at = seconds(record.get("time"))
    # Logs that were begun by an earlier release have no name of their own in their calls' keys.
    file = context.get("file", "")
    if event == "launched":
        context["session"] = f"launched-{at:.0f}-{file}".rstrip("-")
        context["version"] = text(properties.get("aider_version"))
    if event != "message_send":
        return Unrecognised("unknown_format", context.get("version", "")) if "completion_tokens" in properties else None
    given, output = counts(properties, ("prompt_tokens", "completion_tokens"))
    return AgentCall(
        NAME,
        context.get("session", "") or f"launched-0-{file}".rstrip("-"),
        (f"{at:.0f}:{file + ':' if file else ''}{context['offset']}",),
        at,
        text(properties.get("main_model")),
        Tokens(given, 0, 0, output, 0),
        "",
        "",
        context.get("version", ""),
    )
