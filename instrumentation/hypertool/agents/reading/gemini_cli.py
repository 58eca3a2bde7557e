"""Gemini CLI: `~/.gemini/tmp/<project>/chats/session-*.jsonl`; each answer is written at least twice, under one id.

Calls of the router (a small model that picks the model) are missing; only its telemetry has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from ...runtime.light_typing import Any
from ..calls import AgentCall, Inconsistent, Read, Tokens, Unrecognised, counts, mapping, moved, part, seconds, text
from ..folders import folder
from ..tasks import plain, task_of
from .lines import AWAITS
from .sources import directories, files_in

NAME = "gemini-cli"
FORMAT = "lines"
# The counts of an `api_response` event of its telemetry and Qwen's, in the order of tokens_of().
TELEMETRY = (
    "input_token_count",
    "output_token_count",
    "cached_content_token_count",
    "thoughts_token_count",
    "tool_token_count",
    "total_token_count",
)
MARKERS = (b'"tokens"', b'"projectHash"', b'"gemini"')


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every chat of every project."""
    for project in projects(home, environment):
        chats = os.path.join(project, "chats")
        yield from files_in(chats, ".jsonl")
        for session in directories(chats):  # sub-agents' chats
            yield from files_in(session, ".jsonl")


def projects(home: str, environment: Mapping[str, str]) -> list[str]:
    """The folder of each project."""
    return directories(os.path.join(folder(NAME, home, environment), "tmp"))


def with_subagents(session: str) -> Iterator[str]:
    """The chat and those of its sub-agents."""
    yield session
    for beside in directories(os.path.dirname(session)):
        yield from files_in(beside, ".jsonl")


def opening(path: str) -> dict[str, str]:
    """What a file's place tells of its calls: a sub-agent's chat is in the folder of its session."""
    beside = os.path.dirname(path)
    inside = os.path.basename(os.path.dirname(beside)) == "chats"
    return {"parent": text(os.path.basename(beside)), AWAITS: '"user"'} if inside else {}


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in a line; the first line names the session, or a sub-agent in its session's folder."""
    if "sessionId" in record and "projectHash" in record:
        own = text(record.get("sessionId"))
        if context.get("parent"):
            context["subagent_id"] = own
        context["session"] = context.get("parent") or own
        return None
    if AWAITS in context and record.get("type") == "user":  # a sub-agent's first message is what it was asked to do
        del context[AWAITS]
        context["task"] = task_of(context.get("session", ""), plain(record.get("content")))
        return None
    given = record.get("tokens")
    tokens = mapping(given)
    if record.get("type") != "gemini":
        return Unrecognised("unknown_format") if "output" in tokens else None
    if not tokens:  # an incomplete answer: the same id comes again with its tokens
        return Unrecognised("no_usage") if given not in (None, {}) or moved(record, "output") else None
    identity = text(record.get("id"))
    if not identity:
        return Unrecognised("no_id")
    return AgentCall(
        NAME,
        context.get("session", ""),
        (identity,),
        seconds(record.get("timestamp")),
        text(record.get("model")),
        tokens_of(*counts(tokens, ("input", "output"), ("cached", "thoughts", "tool", "total"))),
        "",
        context.get("subagent_id", ""),
        "",
        context.get("task", ""),
    )


def tokens_of(given: int, output: int, cached: int, thoughts: int, tool: int, total: int) -> Tokens:
    """The parts, checked against the total: input includes cached tokens, output excludes thoughts.

    Tool-use tokens are part of the input if the total implies so, otherwise separate.
    """
    if total == given + output + thoughts or (not total and not thoughts and not tool):
        return Tokens(part(given, cached), cached, 0, output, thoughts)
    if total == given + output + thoughts + tool:
        return Tokens(part(given, cached) + tool, cached, 0, output, thoughts)
    if total == given + output:  # from an OpenAI-compatible provider: output includes thoughts
        return Tokens(part(given, cached), cached, 0, part(output, thoughts), thoughts)
    raise Inconsistent("the total is not the sum of its parts")
