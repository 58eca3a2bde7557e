"""Raw responses of the real SDKs, and streams of the SDKs that are made like OpenAI's: each counted once."""

from __future__ import annotations

import asyncio
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
