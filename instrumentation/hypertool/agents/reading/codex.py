"""Codex: `~/.codex/sessions/Y/M/D/rollout-*.jsonl`, one file per thread; `token_usage_record` is one response.

`token_count` events repeat the same usage (also on resume and compaction) without an id, so they are never added.
Versions without `token_usage_record` have only `token_count`, which is counted as unrecognised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Inconsistent, Read, Tokens, Unrecognised, counts, mapping, part, seconds, text, whole
from ..folders import folder
from .sources import files_below

NAME = "codex"
FORMAT = "lines"
MARKERS = (b'"token_usage_record"', b'"session_meta"', b'"turn_context"', b'"token_count"')


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every thread's file, including archived ones (an archived thread keeps its responses' ids)."""
    base = folder(NAME, home, environment)
    for kind in ("sessions", "archived_sessions"):
        for path in files_below(os.path.join(base, kind), 3, ".jsonl"):
            if os.path.basename(path).startswith("rollout-"):
                yield path


def with_subagents(session: str) -> Iterator[str]:
    """The thread's file and its neighbours of that day: a sub-agent's thread has a file of its own."""
    yield session
    for path in files_in_folder(session):
        if path != session:
            yield path


def files_in_folder(session: str) -> list[str]:
    """That rollout file and the later ones beside it, at most 64, the newest last: names begin with the time."""
    beside = os.path.dirname(session)
    mine = os.path.basename(session)
    return [path for path in sorted(files_below(beside, 0, ".jsonl")) if os.path.basename(path) >= mine][:64]


def read(record: dict[str, Any], context: dict[str, str]) -> Read:
    """The call in a line; remembers version, session, model and sub-agent for later lines."""
    kind, payload = record.get("type"), mapping(record.get("payload"))
    if kind == "session_meta":
        _remember_session(payload, context)
    elif kind == "turn_context":
        context["model"] = text(payload.get("model")) or context.get("model", "")
    elif kind == "token_usage_record":
        context["records"] = "1"
        return _call(record, payload, context)
    elif kind == "event_msg" and payload.get("type") == "token_count":
        usage = mapping(mapping(payload.get("info")).get("last_token_usage"))
        if usage and "records" not in context and whole(usage.get("total_tokens")):
            return Unrecognised("no_id", context.get("version", ""))
    return None


def _remember_session(payload: dict[str, Any], context: dict[str, str]) -> None:
    # A forked or resumed thread also repeats the metadata of the thread it continues; the first entry is its own.
    if "thread" in context:
        return
    context["thread"] = text(payload.get("id"))
    context["session"] = text(payload.get("session_id")) or text(payload.get("id"))
    context["version"] = text(payload.get("cli_version"))
    if payload.get("parent_thread_id") or payload.get("thread_source") == "subagent":
        context["subagent"] = text(payload.get("agent_role")) or text(payload.get("agent_nickname"))
        context["subagent_id"] = context["thread"]


def _call(record: dict[str, Any], payload: dict[str, Any], context: dict[str, str]) -> Read:
    version = context.get("version", "")
    response, usage = text(payload.get("response_id")), mapping(payload.get("usage"))
    if not response:
        return Unrecognised("no_id", version)
    if not usage:
        return Unrecognised("no_usage", version)
    given, output, cached, written, thought = counts(
        usage,
        ("input_tokens", "output_tokens"),
        ("cached_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens"),
    )
    if usage.get("total_tokens") is not None and whole(usage.get("total_tokens")) != given + output:
        raise Inconsistent("the total is not input plus output")
    return AgentCall(
        NAME,
        text(payload.get("session_id")) or context.get("session", ""),
        (response,),
        seconds(record.get("timestamp")),
        context.get("model", ""),
        Tokens(part(given, cached, written), cached, written, part(output, thought), thought),
        context.get("subagent", ""),
        context.get("subagent_id", ""),
        version,
    )
