"""LangChain messages as the integrations build them, and streams that are added up chunk by chunk."""

from __future__ import annotations

from functools import reduce
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from table import Row


def _tokens(
    given: int, made: int, into: dict[str, int] | None = None, out: dict[str, int] | None = None
) -> UsageMetadata:
    usage: dict[str, Any] = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    if into is not None:
        usage["input_token_details"] = into
    if out is not None:
        usage["output_token_details"] = out
    return UsageMetadata(**usage)  # type: ignore[typeddict-item]


def _openai(usage: UsageMetadata | None = None, **about: Any) -> AIMessage:
    return AIMessage(
        content="hello",
        id="run-1",
        usage_metadata=usage,
        response_metadata={
            "model_name": "gpt-5-2025-08-07",
            "finish_reason": "stop",
            "model_provider": "openai",
            "id": "chatcmpl-1",
            **about,
        },
    )


def _claude(tokens: UsageMetadata | None, **about: Any) -> AIMessage:
    return AIMessage(
        content="hello",
        usage_metadata=tokens,
        response_metadata={
            "model_name": "claude-sonnet-5-5",
            "stop_reason": "end_turn",
            "model_provider": "anthropic",
            **about,
        },
    )


_OPENAI_STREAM = [
    AIMessageChunk(content="hel", id="run-2"),
    AIMessageChunk(content="lo", id="run-2"),
    AIMessageChunk(
        content="",
        id="run-2",
        response_metadata={"finish_reason": "stop", "model_name": "gpt-5-2025-08-07", "model_provider": "openai"},
    ),
    AIMessageChunk(
        content="",
        id="run-2",
        usage_metadata=_tokens(1200, 300, {"cache_read": 1024}, {"reasoning": 192}),
        chunk_position="last",
    ),
]
_CLAUDE_STREAM = [
    AIMessageChunk(
        content="",
        usage_metadata=_tokens(1298, 0, {"cache_read": 1000, "cache_creation": 248}),
        response_metadata={"model_name": "claude-sonnet-5-5", "model_provider": "anthropic"},
    ),
    AIMessageChunk(content="hello"),
    AIMessageChunk(
        content="", usage_metadata=_tokens(0, 503), response_metadata={"stop_reason": "end_turn"}, chunk_position="last"
    ),
]


def _sum(chunks: list[AIMessageChunk]) -> Any:
    return reduce(lambda left, right: left + right, chunks)  # LangChain's own addition


_IS: dict[str, Any] = {"model": "gpt-5-2025-08-07", "provider": "openai"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("stop",)}
_CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5-5", "provider": "anthropic", "reasons": ("end_turn",)}
_FULL = _tokens(1200, 300, {"cache_read": 1024, "audio": 0}, {"reasoning": 192, "audio": 0})

ROWS = [
    Row("langchain openai", lambda: _openai(_FULL), (176, 1024, 0, 108, 192), **_STOP),
    Row("langchain without details", lambda: _openai(_tokens(7, 3)), (7, 0, 0, 3, 0), **_STOP),
    Row(
        "langchain anthropic cache",
        lambda: _claude(_tokens(1298, 503, {"cache_read": 1000, "cache_creation": 248})),
        (50, 1000, 248, 503, 0),
        **_CLAUDE,
    ),
    # langchain-anthropic sets cache_creation to 0 once it knows the ages.
    Row(
        "langchain anthropic cache ages",
        lambda: _claude(
            _tokens(
                1298,
                503,
                {
                    "cache_read": 1000,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 48,
                    "ephemeral_1h_input_tokens": 200,
                },
            )
        ),
        (50, 1000, 248, 503, 0, 200),
        **_CLAUDE,
    ),
    Row(
        "langchain old integration openai",
        lambda: _openai(None, token_usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
        (7, 0, 0, 3, 0),
        **_STOP,
    ),
    Row(
        "langchain old integration anthropic",
        lambda: _claude(
            None,
            usage={
                "input_tokens": 50,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 248,
                "output_tokens": 503,
            },
        ),
        (50, 1000, 248, 503, 0),
        **_CLAUDE,
    ),
    Row("langchain no usage", lambda: _openai(None), "no_usage", **_STOP),
    Row("langchain more cached than given", lambda: _openai(_tokens(10, 3, {"cache_read": 11})), "invalid", **_STOP),
    # Two choices of one call repeat its usage: it counts once.
    Row(
        "langchain result of two choices",
        lambda: LLMResult(
            generations=[[ChatGeneration(message=_openai(_FULL)), ChatGeneration(message=_openai(_FULL))]]
        ),
        (176, 1024, 0, 108, 192),
        **_STOP,
    ),
    Row(
        "langchain result of two prompts",
        lambda: LLMResult(
            generations=[
                [ChatGeneration(message=_openai(_tokens(7, 3)))],
                [ChatGeneration(message=_openai(_tokens(5, 2)))],
            ]
        ),
        (12, 0, 0, 5, 0),
        **_STOP,
    ),
    Row(
        "langchain chat result of two choices",
        lambda: ChatResult(
            generations=[ChatGeneration(message=_openai(_FULL)), ChatGeneration(message=_openai(_FULL))]
        ),
        (176, 1024, 0, 108, 192),
        **_STOP,
    ),
    Row(
        "langchain structured output with raw",
        lambda: {"raw": _openai(_FULL), "parsed": {}, "parsing_error": None},
        (176, 1024, 0, 108, 192),
        **_STOP,
    ),
    Row("langchain openai stream", lambda: _OPENAI_STREAM, (176, 1024, 0, 108, 192), **_STOP, stream=True),
    Row("langchain openai stream added up", lambda: _sum(_OPENAI_STREAM), (176, 1024, 0, 108, 192), **_STOP),
    Row("langchain stream without usage", lambda: _OPENAI_STREAM[:3], "no_usage", **_STOP, stream=True),
    Row(
        "langchain openai stream cut before its usage",
        lambda: _OPENAI_STREAM,
        "stream_cut",
        **_STOP,
        stream=True,
        cut_after=3,
    ),
    Row("langchain anthropic stream", lambda: _CLAUDE_STREAM, (50, 1000, 248, 503, 0), **_CLAUDE, stream=True),
    Row("langchain anthropic stream added up", lambda: _sum(_CLAUDE_STREAM), (50, 1000, 248, 503, 0), **_CLAUDE),
    Row(
        "langchain anthropic stream cut",
        lambda: _CLAUDE_STREAM,
        "stream_cut",
        model="claude-sonnet-5-5",
        provider="anthropic",
        stream=True,
        cut_after=2,
    ),
    Row(
        "langchain generation chunks",
        lambda: [ChatGenerationChunk(message=chunk) for chunk in _CLAUDE_STREAM],
        (50, 1000, 248, 503, 0),
        **_CLAUDE,
        stream=True,
    ),
]
