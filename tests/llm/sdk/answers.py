"""What the provider on loopback answers: one response of each kind of call, of 15 tokens (Anthropic's: 20)."""

from __future__ import annotations

from typing import Any

from chats import chat

HI: list[Any] = [{"role": "user", "content": "x"}]
CHAT = chat("gpt-4o", "hi", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 8},
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    "metrics": {"latencyMs": 1},
}
COHERE = {
    "id": "c",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
    "usage": {
        "billed_units": {"input_tokens": 10, "output_tokens": 5},
        "tokens": {"input_tokens": 10, "output_tokens": 5},
    },
}
PARSED = {"id": "p", "pages": [], "meta": {"tokens": {"input_tokens": 10, "output_tokens": 5}}}
PICTURE: Any = {"type": "image_url", "image_url": {"url": "http://x"}}
OLLAMA = {
    "model": "llama3",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "hi"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 10,
    "eval_count": 5,
}

RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-4o",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}
INTERACTION: dict[str, Any] = {
    "id": "v1",
    "status": "completed",
    "model": "gemini-2.5-flash",
    "created": "2026-01-01T00:00:00Z",
    "updated": "2026-01-01T00:00:00Z",
    "usage": {"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 15},
}
DETAILS = {"input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2}}
WITH_DETAILS: dict[str, Any] = {**RESPONSE, "usage": {**RESPONSE["usage"], **DETAILS}}
WITH_DETAILS["usage"]["input_tokens_details"]["cache_write_tokens"] = 0
RESPONSE_EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "status": "queued", "usage": None}},
    {"type": "response.completed", "sequence_number": 1, "response": WITH_DETAILS},
]
COMPACTION = {k: WITH_DETAILS[k] for k in ("id", "created_at", "output", "usage")} | {"object": "response.compaction"}
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.1]}
VECTORS = {
    "id": "e",
    "object": "list",
    "model": "e",
    "data": [VECTOR],
    "usage": {"prompt_tokens": 15, "total_tokens": 15},
}
TRANSCRIPTION = {
    "model": "v",
    "text": "hi",
    "language": "en",
    "segments": [],
    "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 15},
}
CONVERSATION = {
    "object": "conversation.response",
    "conversation_id": "c1",
    "outputs": [{"object": "entry", "type": "message.output", "content": "hi", "role": "assistant"}],
    "usage": CHAT["usage"],
}
