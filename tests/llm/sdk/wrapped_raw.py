"""Raw responses of the real SDKs, and streams of the SDKs that are made like OpenAI's: each counted once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from provider import PROVIDER
from wrapped import ASK, ASK_CLAUDE, claude, gpt
from wrapped_others import chat
from wrapping import once, ours

from hypertool.llm.record import CallRecord


def _json(kind: type[Any]) -> Any:
    return kind(api_key="k", base_url=PROVIDER.json(chat()) + "/v1", max_retries=0)


def test_raw_response(records: list[CallRecord]) -> None:
    raw = ours(_json(openai.OpenAI).chat.completions.with_raw_response.create)(**ASK)
    assert raw.parse().choices[0].message.content == "hello"
    once(records, 15)


def test_async_raw_response(records: list[CallRecord]) -> None:
    raw = asyncio.run(ours(_json(openai.AsyncOpenAI).chat.completions.with_raw_response.create)(**ASK))
    assert raw.parse().choices[0].message.content == "hello"
    once(records, 15)


def test_raw_response_of_a_stream(records: list[CallRecord]) -> None:
    raw = ours(gpt(openai.OpenAI).chat.completions.with_raw_response.create)(**ASK, stream=True)
    assert len(list(raw.parse())) == 4
    once(records, 15)


def test_raw_response_of_a_stream_left_early(records: list[CallRecord]) -> None:
    raw = ours(gpt(openai.OpenAI).chat.completions.with_raw_response.create)(**ASK, stream=True)
    raw.http_response.close()
    once(records, None, "cancelled")


@pytest.mark.parametrize("read", ["parse", "read", "iter_lines", "iter_bytes", "json"])
def test_streaming_response(records: list[CallRecord], read: str) -> None:
    with ours(_json(openai.OpenAI).chat.completions.with_streaming_response.create)(**ASK) as raw:
        found = getattr(raw, read)()
        if read.startswith("iter"):
            list(found)
    once(records, 15)


def test_streaming_response_of_events(records: list[CallRecord]) -> None:
    with ours(gpt(openai.OpenAI).chat.completions.with_streaming_response.create)(**ASK, stream=True) as raw:
        assert any("data:" in line for line in raw.iter_lines())
    once(records, 15)


def test_async_streaming_response(records: list[CallRecord]) -> None:
    async def work() -> None:
        create = ours(_json(openai.AsyncOpenAI).chat.completions.with_streaming_response.create)
        async with create(**ASK) as raw:
            assert (await raw.parse()).choices[0].message.content == "hello"

    asyncio.run(work())
    once(records, 15)


def test_anthropic_raw_stream(records: list[CallRecord]) -> None:
    raw = ours(claude(anthropic.Anthropic).messages.with_raw_response.create)(**ASK_CLAUDE, stream=True)
    assert len(list(raw.parse())) == 6
    once(records, 20)


def _batch() -> str:
    """A batch, and its results as lines of JSON: two answers and an error."""
    batch = {
        "id": "b",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"canceled": 0, "errored": 1, "expired": 0, "processing": 0, "succeeded": 2},
        "created_at": "2026-11-01T00:00:00Z",
        "expires_at": "2026-11-02T00:00:00Z",
        "results_url": f"{PROVIDER.url}/lines",
    }
    message = {"type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": "end_turn"}
    results: list[dict[str, Any]] = [
        {"type": "succeeded", "message": {**message, "id": key, "usage": {"input_tokens": 9, "output_tokens": 3}}}
        for key in ("x", "y")
    ]
    results.append({"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "no"}}})
    lines = "".join(json.dumps({"custom_id": "1", "result": one}) + "\n" for one in results)
    return PROVIDER.pages({"/v1/messages/batches/b": json.dumps(batch), "/lines": lines})


def test_anthropic_batch_results(records: list[CallRecord]) -> None:
    client = anthropic.Anthropic(api_key="k", base_url=_batch())
    assert len(list(ours(client.messages.batches.results)("b"))) == 3
    once(records, 24)


def test_anthropic_batch_results_async(records: list[CallRecord]) -> None:
    client = anthropic.AsyncAnthropic(api_key="k", base_url=_batch())

    async def work() -> int:
        return len([line async for line in await ours(client.messages.batches.results)("b")])

    assert asyncio.run(work()) == 3
    once(records, 24)
