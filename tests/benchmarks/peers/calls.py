"""What every contender observes: a call that does nothing, and its response as dict and as SDK object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

MODEL = "gpt-4o"
PERSONA = "backend-engineer"
PROMPT = "x" * 256
CHUNKS = 1000
RESPONSE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "y" * 800, "refusal": None},
        }
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
    },
}


class Contender(NamedTuple):
    """`call` is timed; `settle` too, once for all calls of a round: it returns when everything is delivered."""

    call: Callable[[], object]
    settle: Callable[[], object] = lambda: None
    per_call: int = 1


def plain(prompt: str) -> dict[str, Any]:
    """The call."""
    return RESPONSE
