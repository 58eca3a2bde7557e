"""Answers of each provider with known usage: call n has 1000+n input, 30+n cache read, 200+n output, 5+n reasoning."""

from __future__ import annotations

import json
from typing import Any


def sse(*events: dict[str, Any]) -> list[bytes]:
    """Server-sent events."""
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events]


def chat(n: int, model: str = "gpt-4.1") -> list[bytes]:
    """OpenAI chat's stream of call n: 1230+3n tokens without cache writes."""
    head = {"id": f"chatcmpl-{n}", "object": "chat.completion.chunk", "created": 1, "model": model}
    usage = {
        "prompt_tokens": 1030 + 2 * n,
        "completion_tokens": 200 + n,
        "total_tokens": 1230 + 3 * n,
        "prompt_tokens_details": {"cached_tokens": 30 + n},
        "completion_tokens_details": {"reasoning_tokens": 5 + n},
    }
    said = [{**head, "choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one ", "two ", "three")]
    return [
        *sse(*said, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        *sse({**head, "choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]


def chat_tokens(n: int) -> int:
    """What `chat(n)` says was used."""
    return 1230 + 3 * n
