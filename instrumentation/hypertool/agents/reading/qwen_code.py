"""Qwen Code: `~/.qwen/projects/<directory>/chats/<session>.jsonl`; each response is an `api_response` event in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Unrecognised, counts, mapping, seconds, text
from ..folders import folder
from .gemini_cli import TELEMETRY, tokens_of
from .sources import directories, files_in

NAME = "qwen-code"
FORMAT = "lines"
MARKERS = (b"ui_telemetry", b'"input_token_count"')


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every chat of every project."""
    base = folder(NAME, home, environment, "runtime")
    for project in directories(os.path.join(base, "projects")):
        yield from files_in(os.path.join(project, "chats"), ".jsonl")


def with_subagents(session: str) -> Iterator[str]:
    """Only that file: it includes sub-agents' responses."""
    yield session


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in a line. The assistant's own line repeats the event's figures and is skipped."""
    event = mapping(mapping(record.get("systemPayload")).get("uiEvent"))
    told = record.get("type") == "system" and record.get("subtype") == "ui_telemetry"
    if not told or not str(event.get("event.name", "")).endswith("api_response"):
        unknown = "input_token_count" in event or (told and "event.name" not in event)
        return Unrecognised("unknown_format", text(record.get("version"))) if unknown else None
    version = context["version"] = text(record.get("version")) or context.get("version", "")
    response = text(event.get("response_id"))
    if not response:
        return Unrecognised("no_id", version)
    return AgentCall(
        NAME,
        text(record.get("sessionId")),
        (response,),
        seconds(record.get("timestamp")),
        text(event.get("model")),
        tokens_of(*counts(event, TELEMETRY[:2], TELEMETRY[2:])),
        text(event.get("subagent_name")),
        "",
        version,
    )
