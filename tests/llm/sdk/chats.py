"""What an API in OpenAI's form sends: a completion, a piece of a streamed one, and the usage of either."""

from __future__ import annotations

from typing import Any


def chat(model: str, words: str = "hello", **more: Any) -> dict[str, Any]:
    """A completion with these words."""
    message = {"role": "assistant", "content": words}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": model, "choices": choices, **more}


def chat_piece(model: str, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece that adds `delta`."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c2", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices, **more}


def chat_tokens(
    prompt: int, completion: int, total: int, cached: int = 0, reasoning: int = 0, **more: Any
) -> dict[str, Any]:
    """A usage as OpenAI details it; `more` details the prompt."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0, **more},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
