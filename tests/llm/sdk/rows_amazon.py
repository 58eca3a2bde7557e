"""Bedrock through botocore's own parsers: converse, invoke_model, and their binary event streams."""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.session
from botocore.config import Config
from provider import PROVIDER
from table import Row

_MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
_HI: Any = [{"role": "user", "content": [{"text": "hi"}]}]


def _client(url: str) -> Any:
    session = botocore.session.get_session()
    session.set_credentials("none", "none")
    return session.create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=Config(retries={"max_attempts": 0})
    )


def _body(usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 10},
        **more,
    }


def _converse(usage: dict[str, Any], **more: Any) -> Any:
    return _client(PROVIDER.json(_body(usage, **more), _ID)).converse(modelId=_MODEL, messages=_HI)


def _converse_stream(usage: dict[str, Any] | None) -> Any:
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hel"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    if usage is not None:
        events.append(("metadata", {"usage": usage, "metrics": {"latencyMs": 10}}))
    return _client(PROVIDER.amazon(events)).converse_stream(modelId=_MODEL, messages=_HI)["stream"]


def _invoke(headers: dict[str, str]) -> Any:
    url = PROVIDER.json({"anything": 1}, {**_ID, **headers})
    return _client(url).invoke_model(modelId=_MODEL, body="{}")


def _invoke_body(body: dict[str, Any]) -> Any:
    return json.loads(_client(PROVIDER.json(body)).invoke_model(modelId=_MODEL, body="{}")["body"].read())


def _invoke_stream(*pieces: dict[str, Any]) -> Any:
    events = [("chunk", {"bytes": base64.b64encode(json.dumps(piece).encode()).decode()}) for piece in pieces]
    return _client(PROVIDER.amazon(events)).invoke_model_with_response_stream(modelId=_MODEL, body="{}")["body"]


_ID = {"x-amzn-RequestId": "request-1"}
_IS: dict[str, Any] = {"provider": "aws.bedrock"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("end_turn",)}
_CACHED = {
    "inputTokens": 12,
    "outputTokens": 40,
    "totalTokens": 1352,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 300,
}
_METRICS = {
    "inputTokenCount": 12,
    "outputTokenCount": 40,
    "cacheReadInputTokenCount": 1000,
    "cacheWriteInputTokenCount": 300,
    "invocationLatency": 10,
    "firstByteLatency": 5,
}

ROWS = [
    Row(
        "bedrock converse plain",
        lambda: _converse({"inputTokens": 30, "outputTokens": 8, "totalTokens": 38}),
        (30, 0, 0, 8, 0),
        **_STOP,
    ),
    # 12 fresh beside 1000 read and 300 written.
    Row("bedrock converse cache", lambda: _converse(_CACHED), (12, 1000, 300, 40, 0), **_STOP),
    Row(
        "bedrock converse cache ages",
        lambda: _converse(
            {**_CACHED, "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}]}
        ),
        (12, 1000, 300, 40, 0, 200),
        **_STOP,
    ),
    # Models that leave the cache out of totalTokens change nothing.
    Row(
        "bedrock converse total without the cache",
        lambda: _converse({**_CACHED, "totalTokens": 52}),
        (12, 1000, 300, 40, 0),
        **_STOP,
    ),
    Row(
        "bedrock converse thinking by request",
        lambda: _converse(
            _CACHED, additionalModelResponseFields={"usage": {"output_tokens_details": {"thinking_tokens": 30}}}
        ),
        (12, 1000, 300, 10, 30),
        **_STOP,
    ),
    Row(
        "bedrock converse flex",
        lambda: _converse(_CACHED, serviceTier={"type": "flex"}),
        (12, 1000, 300, 40, 0),
        **_STOP,
        tier="flex",
    ),
    Row("bedrock converse negative", lambda: _converse({**_CACHED, "cacheReadInputTokens": -4}), "invalid", **_STOP),
    Row("bedrock converse stream", lambda: _converse_stream(_CACHED), (12, 1000, 300, 40, 0), **_STOP, stream=True),
    Row(
        "bedrock converse stream cut", lambda: _converse_stream(_CACHED), "stream_cut", **_IS, stream=True, cut_after=3
    ),
    Row("bedrock converse stream without metadata", lambda: _converse_stream(None), "no_usage", **_STOP, stream=True),
    # The body is the caller's: only the headers are looked at.
    Row(
        "bedrock invoke headers",
        lambda: _invoke(
            {
                "x-amzn-bedrock-input-token-count": "12",
                "x-amzn-bedrock-output-token-count": "40",
                "x-amzn-bedrock-cache-read-input-token-count": "1000",
                "x-amzn-bedrock-cache-write-input-token-count": "300",
            }
        ),
        (12, 1000, 300, 40, 0),
        **_IS,
    ),
    Row(
        "bedrock invoke broken header",
        lambda: _invoke({"x-amzn-bedrock-input-token-count": "12x", "x-amzn-bedrock-output-token-count": "40"}),
        "invalid",
        **_IS,
    ),
    Row("bedrock invoke without headers", lambda: _invoke({}), "no_usage", **_IS),
    Row(
        "bedrock invoke anthropic body",
        lambda: _invoke_body(
            {
                "id": "m",
                "type": "message",
                "model": "claude-sonnet-4-5",
                "content": [],
                "stop_reason": "end_turn",
                "usage": {
                    "input_tokens": 12,
                    "cache_read_input_tokens": 1000,
                    "cache_creation_input_tokens": 300,
                    "output_tokens": 40,
                },
            }
        ),
        (12, 1000, 300, 40, 0),
        model="claude-sonnet-4-5",
        provider="anthropic",
        reasons=("end_turn",),
    ),
    Row(
        "bedrock invoke nova body",
        lambda: _invoke_body(
            {
                "output": {"message": {}},
                "stopReason": "end_turn",
                "usage": {
                    "inputTokens": 12,
                    "outputTokens": 40,
                    "totalTokens": 52,
                    "cacheReadInputTokenCount": 1000,
                    "cacheWriteInputTokenCount": 300,
                },
            }
        ),
        (12, 1000, 300, 40, 0),
        **_STOP,
    ),
    Row(
        "bedrock invoke titan body",
        lambda: _invoke_body(
            {"inputTextTokenCount": 5, "results": [{"tokenCount": 3, "outputText": "x", "completionReason": "FINISH"}]}
        ),
        (5, 0, 0, 3, 0),
        **_IS,
        reasons=("FINISH",),
    ),
    Row(
        "bedrock invoke llama body",
        lambda: _invoke_body(
            {"generation": "x", "prompt_token_count": 5, "generation_token_count": 3, "stop_reason": "stop"}
        ),
        (5, 0, 0, 3, 0),
        **_IS,
        reasons=("stop",),
    ),
    Row(
        "bedrock invoke stream",
        lambda: _invoke_stream(
            {"type": "message_start", "message": {"usage": {"input_tokens": 12, "output_tokens": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": _METRICS},
        ),
        (12, 1000, 300, 40, 0),
        **_IS,
        stream=True,
    ),
    Row(
        "bedrock invoke stream cut",
        lambda: _invoke_stream(
            {"type": "content_block_delta"},
            {"type": "content_block_delta"},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": _METRICS},
        ),
        "stream_cut",
        **_IS,
        stream=True,
        cut_after=2,
    ),
]
