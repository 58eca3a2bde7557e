"""Auggie: `~/.augment/sessions/<id>.json`, one document; response nodes of type 10 have the usage, 9 the credits."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, counts, guarded, mapping, seconds, text
from ..folders import folder
from .sources import files_in

NAME = "auggie"
FORMAT = "document"
_TOOL, _USAGE = 5, 10
# How the tools begin that start a sub-agent. Its calls are in no file: each use is something that is not known.
_SUBAGENT = "sub-agent"


def locations(home: str, environment: dict[str, str]) -> Iterator[str]:
    """Every session."""
    yield from files_in(os.path.join(folder(NAME, home, environment), "sessions"), ".json")


def with_subagents(session: str) -> Iterator[str]:
    """Only that file."""
    yield session


def read_document(document: dict[str, Any]) -> Iterator[Read]:
    """Every call of the session so far."""
    session = text(document.get("sessionId"))
    model = text(mapping(document.get("agentState")).get("modelId"))
    history = document.get("chatHistory")
    if history.__class__ is not list:
        yield Unrecognised("unknown_format")
        return
    for given in history:
        entry = mapping(given)
        exchange = mapping(entry.get("exchange"))
        request = text(exchange.get("request_id"))
        nodes = exchange.get("response_nodes")
        known = [*map(mapping, nodes)] if nodes.__class__ is list else []
        odd = given.__class__ is not dict or entry.get("exchange") not in (None, exchange)
        odd = odd or (nodes is not None and nodes.__class__ is not list) or {} in known
        if odd or (exchange and not exchange.keys() & {"request_id", "response_nodes"}):
            yield Unrecognised("unknown_format")
        kinds = [(node.get("type"), node) for node in known]
        usages = [node for kind, node in kinds if kind == _USAGE]
        for kind, node in kinds:
            if kind != _USAGE and mapping(node.get("token_usage")):
                yield Unrecognised("unknown_format")
            if kind == _TOOL and text(mapping(node.get("tool_use")).get("tool_name")).startswith(_SUBAGENT):
                yield Unrecognised("no_subagent_usage")
        for number, node in enumerate(usages):
            key = request if number == 0 or not request else f"{request}/{number}"
            yield guarded("", _call, node, entry, session, key, model)


def _call(node: dict[str, Any], entry: dict[str, Any], session: str, key: str, model: str) -> Read:
    usage = mapping(node.get("token_usage"))
    if not key or not usage:
        return Unrecognised("no_usage" if key else "no_id")
    given, output, cached, written = counts(
        usage, ("input_tokens", "output_tokens"), ("cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return AgentCall(
        NAME,
        session,
        (key,),
        seconds(node.get("timestamp_ms")) or seconds(entry.get("finishedAt")),
        model,
        Tokens(given, cached, written, output, 0),
    )
