"""Wrapped calls of the real SDKs: streams and managers keep their type and methods, and are counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import anthropic
import openai
import pytest
from openai import AsyncStream, Stream
from provider import PROVIDER
from wrapping import once, ours

from hypertool.llm.record import CallRecord

CHUNKS: list[Any] = [
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": end}],
    }
    for text, end in (("a", None), ("b", None), ("", "stop"))
] + [
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
]
EVENTS: list[Any] = [
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "claude-sonnet-4-5",
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 12, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 8},
    },
    {"type": "message_stop"},
]
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
ASK_CLAUDE: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": ASK["messages"]}


def gpt(kind: type[Any]) -> Any:
    return kind(api_key="k", base_url=PROVIDER.events(CHUNKS, done=True) + "/v1", max_retries=0)


def claude(kind: type[Any]) -> Any:
    return kind(api_key="k", base_url=PROVIDER.events(EVENTS, named=True), max_retries=0)


def test_openai_stream(records: list[CallRecord]) -> None:
    stream = ours(gpt(openai.OpenAI).chat.completions.create)(**ASK, stream=True)
    assert isinstance(stream, Stream)
    assert stream.response.status_code == 200
    with stream as running:
        assert len(list(running)) == 4
    once(records, 15)
    assert records[0].first_chunk is not None


def test_openai_stream_that_is_closed_early(records: list[CallRecord]) -> None:
    stream = ours(gpt(openai.OpenAI).chat.completions.create)(**ASK, stream=True)
    next(stream)
    stream.close()
    assert len(records) == 1, "counted when it is closed, not when it is collected"
    once(records, None, "cancelled")


def test_openai_async_stream(records: list[CallRecord]) -> None:
    async def work() -> None:
        stream = await ours(gpt(openai.AsyncOpenAI).chat.completions.create)(**ASK, stream=True)
        assert isinstance(stream, AsyncStream)
        async with stream:
            assert len([chunk async for chunk in stream]) == 4

    asyncio.run(work())
    once(records, 15)


def test_openai_stream_manager_with_its_helpers(records: list[CallRecord]) -> None:
    with ours(gpt(openai.OpenAI).chat.completions.stream)(**ASK) as stream:
        final = stream.get_final_completion()
    assert final.usage.total_tokens == 15
    once(records, 15)


def test_anthropic_stream(records: list[CallRecord]) -> None:
    with ours(claude(anthropic.Anthropic).messages.create)(**ASK_CLAUDE, stream=True) as stream:
        assert len(list(stream)) == 6
    once(records, 20)


def test_anthropic_manager_read_as_text(records: list[CallRecord]) -> None:
    with ours(claude(anthropic.Anthropic).messages.stream)(**ASK_CLAUDE) as stream:
        assert "".join(stream.text_stream) == "hi"
        assert stream.get_final_message().usage.output_tokens == 8
    once(records, 20)


def test_anthropic_async_manager(records: list[CallRecord]) -> None:
    async def work() -> None:
        async with ours(claude(anthropic.AsyncAnthropic).messages.stream)(**ASK_CLAUDE) as stream:
            assert "".join([text async for text in stream.text_stream]) == "hi"

    asyncio.run(work())
    once(records, 20)


def test_a_client_that_fails_raises_its_own_error(records: list[CallRecord]) -> None:
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        ours(client.chat.completions.create)(**ASK)
    once(records, None, "error")


def test_streams_are_sync_or_async_as_before(records: list[CallRecord]) -> None:
    """What asks `isinstance` for an async iterator (instructor does) gets the SDK's own answer."""
    plain = gpt(openai.OpenAI).chat.completions.create(**ASK, stream=True)
    stream = ours(gpt(openai.OpenAI).chat.completions.create)(**ASK, stream=True)
    manager = ours(claude(anthropic.Anthropic).messages.stream)(**ASK_CLAUDE)
    later = ours(claude(anthropic.AsyncAnthropic).messages.stream)(**ASK_CLAUDE)
    assert isinstance(stream, Iterator) is isinstance(plain, Iterator) is True
    assert isinstance(stream, AsyncIterator) is isinstance(plain, AsyncIterator) is False
    assert isinstance(manager, AbstractContextManager)
    assert not isinstance(manager, AbstractAsyncContextManager)
    assert isinstance(later, AbstractAsyncContextManager)
    assert not isinstance(later, AbstractContextManager)
