"""A labelled double of Augment's server, as far as its client Auggie (0.36) asks for it.

Augment's server cannot be reached without an account. This one proves nothing about it; it lets the real client run, so
that tests see which files it loads, what it does with answers, what it keeps and which hooks it calls. `FLAGS` are the
real server's choice: with them Auggie runs hooks, and offers skills and sub-agents to its model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

FLAGS = {"enable_hooks": True, "enable_skills": True, "beachhead_enable_sub_agent_tool": True}
_TOOL, _BILLING, _USAGE = 5, 9, 10
_END_TURN, _TOOL_USE = 1, 3
_MODEL = {"name": "fake", "suggested_prefix_char_count": 1000, "suggested_suffix_char_count": 1000}
# The other questions that the client asks before and between calls.
ANSWERS: dict[str, dict[str, Any]] = {
    "/get-models": {
        "default_model": "fake",
        "models": [_MODEL],
        "languages": [],
        "feature_flags": FLAGS,
        "user": {"id": "none", "email": "ann@example.invalid", "tenant_id": "none"},
    },
    "/agents/list-remote-tools": {"tools": []},
    "/find-missing": {"unknown_memory_names": [], "nonindexed_blob_names": []},
    "/batch-upload": {"blob_names": []},
}


def session(url: str) -> str:
    """The login that the client takes from `AUGMENT_SESSION_AUTH`."""
    return json.dumps({"accessToken": "none", "tenantURL": f"{url}/", "scopes": ["email"]})


def chat(n: int, text: str, tools: list[tuple[str, Any]]) -> Iterator[bytes]:
    """The answer to a call: one line of JSON, with its nodes; call `n` reports the figures of the model server."""
    nodes: list[dict[str, Any]] = []
    for place, (name, given) in enumerate(tools):
        use = {"tool_use_id": f"toolu_{n:06}_{place}", "tool_name": name, "input_json": json.dumps(given)}
        nodes.append({"id": len(nodes) + 1, "type": _TOOL, "content": "", "tool_use": use})
    usage = {
        "input_tokens": 1000 + n,
        "output_tokens": 200 + n,
        "cache_read_input_tokens": 30 + n,
        "cache_creation_input_tokens": 7 + n,
    }
    nodes.append({"id": len(nodes) + 1, "type": _USAGE, "content": "", "token_usage": usage})
    billed = {"credits_consumed": 3}
    nodes.append({"id": len(nodes) + 1, "type": _BILLING, "content": "", "billing_metadata": billed})
    answer = {"text": "" if tools else text, "nodes": nodes, "stop_reason": _TOOL_USE if tools else _END_TURN}
    yield json.dumps(answer).encode() + b"\n"
