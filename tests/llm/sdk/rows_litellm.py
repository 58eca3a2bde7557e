"""LiteLLM: every provider in OpenAI's names, the usage an undeclared field, the cache inside the prompt's count."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network for prices

import litellm
from chats import chat, chat_piece, chat_tokens
from provider import PROVIDER
from table import Row

litellm.suppress_debug_info = True
_ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "api_key": "none", "num_retries": 0}


def _openai(usage: dict[str, Any] | None, **more: Any) -> Any:
    body = chat("gpt-5")
    url = PROVIDER.json(body if usage is None else {**body, "usage": usage})
    return litellm.completion(model="openai/gpt-5", api_base=url, **_ASK, **more)


def _openai_stream(usage: dict[str, Any] | None) -> Any:
    def piece(content: str | None, finish: str | None = None) -> dict[str, Any]:
        return chat_piece("gpt-5", {"content": content} if content else {}, finish)

    pieces = [piece("hel"), piece("lo"), piece(None, "stop")]
    if usage is not None:
        pieces.append({**piece(None), "choices": [], "usage": usage})
    url = PROVIDER.events(pieces, done=True)
    return litellm.completion(
        model="openai/gpt-5", api_base=url, stream=True, stream_options={"include_usage": True}, **_ASK
    )


def _anthropic(usage: dict[str, Any]) -> Any:
    url = PROVIDER.json(
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn",
            "usage": usage,
        }
    )
    return litellm.completion(model="anthropic/claude-sonnet-5-5", api_base=url, max_tokens=100, **_ASK)


def _anthropic_stream(start: dict[str, Any], delta: dict[str, Any]) -> Any:
    url = PROVIDER.events(
        [
            {
                "type": "message_start",
                "message": {
                    "id": "m1",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-sonnet-5-5",
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": start,
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": delta},
            {"type": "message_stop"},
        ],
        named=True,
    )
    return litellm.completion(
        model="anthropic/claude-sonnet-5-5",
        api_base=url,
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
        **_ASK,
    )


def _gemini(usage: dict[str, Any]) -> Any:
    url = PROVIDER.json(
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}
            ],
            "modelVersion": "gemini-2.5-pro",
            "usageMetadata": usage,
        }
    )
    return litellm.completion(model="gemini/gemini-2.5-pro", api_base=url, **_ASK)


_TOKENS = chat_tokens(1200, 300, 1500, 1024, 192)
_CLAUDE = {
    "input_tokens": 50,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 248,
    "output_tokens": 503,
}
_GEMINI = {
    "promptTokenCount": 100,
    "candidatesTokenCount": 80,
    "thoughtsTokenCount": 420,
    "totalTokenCount": 600,
    "cachedContentTokenCount": 60,
}
_IS: dict[str, Any] = {"model": "gpt-5", "provider": "openai"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("stop",)}
_CLAUDE_STOP: dict[str, Any] = {"model": "claude-sonnet-5-5", "provider": "anthropic", "reasons": ("stop",)}

ROWS = [
    Row("litellm openai", lambda: _openai(_TOKENS), (176, 1024, 0, 108, 192), **_STOP),
    # LiteLLM makes zeros of a usage that is not there.
    Row("litellm openai without usage", lambda: _openai(None), "no_usage", **_STOP),
    Row("litellm openai stream", lambda: _openai_stream(_TOKENS), (176, 1024, 0, 108, 192), **_STOP, stream=True),
    Row("litellm openai stream cut", lambda: _openai_stream(_TOKENS), "stream_cut", **_IS, stream=True, cut_after=1),
    # The prompt's count is 50 + 1000 + 248 here, and the cache is taken out of it again.
    Row(
        "litellm anthropic cache",
        lambda: _anthropic(_CLAUDE),
        (50, 1000, 248, 503, 0),
        **_CLAUDE_STOP,
    ),
    Row(
        "litellm anthropic cache for an hour",
        lambda: _anthropic(
            {**_CLAUDE, "cache_creation": {"ephemeral_5m_input_tokens": 48, "ephemeral_1h_input_tokens": 200}}
        ),
        (50, 1000, 248, 503, 0, 200),
        **_CLAUDE_STOP,
    ),
    Row(
        "litellm anthropic stream",
        lambda: _anthropic_stream({**_CLAUDE, "output_tokens": 1}, {"output_tokens": 503}),
        (50, 1000, 248, 503, 0),
        **_CLAUDE_STOP,
        stream=True,
    ),
    Row(
        "litellm gemini thoughts",
        lambda: _gemini(_GEMINI),
        (40, 60, 0, 80, 420),
        model="gemini-2.5-pro",
        provider="gcp.gemini",
        reasons=("stop",),
    ),
]
