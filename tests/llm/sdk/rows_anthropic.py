"""Anthropic messages: the input count is without the cache, a stream's counts are cumulative."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic
from provider import PROVIDER
from table import Row

_ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


def _client(url: str) -> Anthropic:
    return Anthropic(api_key="none", base_url=url, max_retries=0)


def _message(usage: dict[str, Any], stop: str | None = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [{"type": "text", "text": "hello"}] if stop else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _ask(usage: dict[str, Any]) -> Any:
    return _client(PROVIDER.json(_message(usage))).messages.create(**_ASK)


def _beta(usage: dict[str, Any]) -> Any:
    return _client(PROVIDER.json(_message(usage))).beta.messages.create(**_ASK)


def _events(start: dict[str, Any], delta: dict[str, Any] | None) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message(start, None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
    ]
    if delta is not None:
        events += [
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": delta},
            {"type": "message_stop"},
        ]
    return events


def _stream(start: dict[str, Any], delta: dict[str, Any] | None) -> Any:
    return _client(PROVIDER.events(_events(start, delta), named=True)).messages.create(**_ASK, stream=True)


def _beta_stream(start: dict[str, Any], delta: dict[str, Any]) -> Any:
    return _client(PROVIDER.events(_events(start, delta), named=True)).beta.messages.create(**_ASK, stream=True)


def _manager(start: dict[str, Any], delta: dict[str, Any]) -> Any:
    with _client(PROVIDER.events(_events(start, delta), named=True)).messages.stream(**_ASK) as stream:
        return list(stream)


def _final(start: dict[str, Any], delta: dict[str, Any]) -> Any:
    with _client(PROVIDER.events(_events(start, delta), named=True)).messages.stream(**_ASK) as stream:
        return stream.get_final_message()


_PLAIN: dict[str, Any] = {"input_tokens": 2095, "output_tokens": 503, "service_tier": "standard"}
_STARTS: dict[str, Any] = {
    "input_tokens": 50,
    "cache_read_input_tokens": 100_000,
    "cache_creation_input_tokens": 248,
    "output_tokens": 1,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
}
_CACHED: dict[str, Any] = {**_STARTS, "output_tokens": 503, "output_tokens_details": {"thinking_tokens": 200}}
_IS: dict[str, Any] = {"model": "claude-sonnet-5-5", "provider": "anthropic"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("end_turn",)}
_PARTS = (50, 100_000, 248, 303, 200, 100)


def _iteration(kind: str, given: int, made: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "input_tokens": given,
        "output_tokens": made,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation": None,
        **more,
    }


ROWS = [
    Row("anthropic plain", lambda: _ask(_PLAIN), (2095, 0, 0, 503, 0), **_STOP),
    # 50 fresh beside 100,000 read and 248 written; 200 of the 503 were thought.
    Row("anthropic cache and thinking", lambda: _ask(_CACHED), _PARTS, **_STOP),
    Row(
        "anthropic only the breakdown of the cache",
        lambda: _ask(
            {
                "input_tokens": 3,
                "output_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
            }
        ),
        (3, 0, 10, 5, 0, 6),
        **_STOP,
    ),
    Row(
        "anthropic batch tier",
        lambda: _ask({**_PLAIN, "service_tier": "batch"}),
        (2095, 0, 0, 503, 0),
        **_STOP,
        tier="batch",
    ),
    Row("anthropic fast", lambda: _ask({**_PLAIN, "speed": "fast"}), (2095, 0, 0, 503, 0), **_STOP, tier="fast"),
    Row("anthropic negative cache", lambda: _ask({**_PLAIN, "cache_read_input_tokens": -1}), "invalid", **_STOP),
    Row(
        "anthropic more thinking than output",
        lambda: _ask({**_PLAIN, "output_tokens_details": {"thinking_tokens": 504}}),
        "invalid",
        **_STOP,
    ),
    Row("anthropic beta", lambda: _beta(_CACHED), _PARTS, **_STOP),
    # The summary (180,000 in, 3,500 out) is billed and in neither count of the top level.
    Row(
        "anthropic beta compaction",
        lambda: _beta(
            {
                "input_tokens": 23_000,
                "output_tokens": 1_000,
                "iterations": [_iteration("compaction", 180_000, 3_500), _iteration("message", 23_000, 1_000)],
            }
        ),
        (203_000, 0, 0, 4_500, 0),
        **_STOP,
    ),
    Row(
        "anthropic beta adviser",
        lambda: _beta(
            {
                "input_tokens": 400,
                "output_tokens": 90,
                "iterations": [
                    _iteration("message", 400, 90),
                    _iteration("advisor_message", 800, 1_600, model="claude-opus-5-5"),
                ],
            }
        ),
        (1_200, 0, 0, 1_690, 0),
        **_STOP,
        tier="mixed",
    ),
    Row(
        "anthropic stream",
        lambda: _stream(_STARTS, {"output_tokens": 503, "output_tokens_details": {"thinking_tokens": 200}}),
        _PARTS,
        **_STOP,
        stream=True,
    ),
    Row(
        "anthropic stream cumulative input",
        lambda: _stream(
            {"input_tokens": 50, "output_tokens": 1},
            {"input_tokens": 90, "cache_read_input_tokens": 7, "output_tokens": 12},
        ),
        (90, 7, 0, 12, 0),
        **_STOP,
        stream=True,
    ),
    # A gateway that sends 0 for what it does not repeat.
    Row(
        "anthropic stream zeros at the end",
        lambda: _stream(
            {"input_tokens": 50, "cache_read_input_tokens": 8, "output_tokens": 1},
            {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 12},
        ),
        (50, 8, 0, 12, 0),
        **_STOP,
        stream=True,
    ),
    Row(
        "anthropic stream cut",
        lambda: _stream(_STARTS, {"output_tokens": 503}),
        "stream_cut",
        **_IS,
        stream=True,
        cut_after=3,
    ),
    Row("anthropic stream without an end", lambda: _stream(_STARTS, None), "stream_cut", **_IS, stream=True),
    Row(
        "anthropic stream left after its final usage",
        lambda: _stream(_STARTS, {"output_tokens": 503}),
        (50, 100_000, 248, 503, 0, 100),
        **_STOP,
        stream=True,
        cut_after=5,
    ),
    Row(
        "anthropic beta stream",
        lambda: _beta_stream(_STARTS, {"output_tokens": 503}),
        (50, 100_000, 248, 503, 0, 100),
        **_STOP,
        stream=True,
    ),
    Row(
        "anthropic stream manager",
        lambda: _manager(_STARTS, {"output_tokens": 503}),
        (50, 100_000, 248, 503, 0, 100),
        **_STOP,
        stream=True,
    ),
    Row(
        "anthropic final message of a stream",
        lambda: _final(_STARTS, {"output_tokens": 503}),
        (50, 100_000, 248, 503, 0, 100),
        **_STOP,
    ),
]
