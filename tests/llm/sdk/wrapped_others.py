"""Wrapped calls of the other SDKs, streamed and not, sync and async: Mistral, LiteLLM, Bedrock, Gemini, and OpenAI's
responses; each returns what it returns unwrapped, and is counted once.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network for prices

import chats
import litellm
import openai
import pytest
import rows_amazon as amazon
import rows_google as google
from botocore.eventstream import EventStream as AmazonStream
from botocore.response import StreamingBody
from google import genai
from google.genai import types
from litellm import CustomStreamWrapper
from mistralai.client import Mistral
from mistralai.client.utils.eventstreaming import EventStream, EventStreamAsync
from openai.lib.streaming.responses import ResponseStream, ResponseStreamManager
from provider import PROVIDER
from wrapping import once, ours

from hypertool.llm.record import CallRecord

TOKENS = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
HI: list[Any] = [{"role": "user", "content": "hi"}]


def chat(**more: Any) -> dict[str, Any]:
    return chats.chat("gpt-4o", **{"usage": TOKENS, **more})


def chunks() -> list[Any]:
    def piece(content: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
        return chats.chat_piece("gpt-4o", {"content": content}, finish, **more)

    return [piece("hel"), piece("lo"), piece("", "stop", usage=TOKENS)]


# Mistral


def test_mistral(records: list[CallRecord]) -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.json(chat()))
    assert ours(client.chat.complete)(model="m", messages=HI).choices[0].message.content == "hello"
    once(records, 15)


def test_mistral_async(records: list[CallRecord]) -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.json(chat()))
    answer = asyncio.run(ours(client.chat.complete_async)(model="m", messages=HI))
    assert answer.choices[0].message.content == "hello"
    once(records, 15)


def test_mistral_stream(records: list[CallRecord]) -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.events(chunks(), done=True))
    stream = ours(client.chat.stream)(model="m", messages=HI)
    assert isinstance(stream, EventStream)
    with stream as running:
        assert "".join(event.data.choices[0].delta.content for event in running) == "hello"
    once(records, 15)
    assert records[0].first_chunk is not None


def test_mistral_stream_that_is_left_early(records: list[CallRecord]) -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.events(chunks(), done=True))
    with ours(client.chat.stream)(model="m", messages=HI) as running:
        next(running)
    once(records, None, "cancelled")


def test_mistral_async_stream(records: list[CallRecord]) -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.events(chunks(), done=True))

    async def work() -> str:
        stream = await ours(client.chat.stream_async)(model="m", messages=HI)
        assert isinstance(stream, EventStreamAsync)
        async with stream as running:
            return "".join([event.data.choices[0].delta.content async for event in running])

    assert asyncio.run(work()) == "hello"
    once(records, 15)


# LiteLLM


def litellm_ask(url: str, **more: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-4o", "api_base": url, "api_key": "none", "num_retries": 0, "messages": HI, **more}


def test_litellm_stream_with_its_own_estimate(records: list[CallRecord]) -> None:
    """LiteLLM puts its own estimate into a stream as usage."""
    url = PROVIDER.events([{**chunk, "usage": None} for chunk in chunks()], done=True)
    parts = list(ours(litellm.completion)(**litellm_ask(url, **STREAMED)))
    assert parts[-1].usage.total_tokens > 0
    once(records, None)


def test_litellm(records: list[CallRecord]) -> None:
    answer = ours(litellm.completion)(**litellm_ask(PROVIDER.json(chat())))
    assert answer.choices[0].message.content == "hello"
    once(records, 15)


def test_litellm_async(records: list[CallRecord]) -> None:
    answer = asyncio.run(ours(litellm.acompletion)(**litellm_ask(PROVIDER.json(chat()))))
    assert answer.choices[0].message.content == "hello"
    once(records, 15)


STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def test_litellm_stream(records: list[CallRecord]) -> None:
    stream = ours(litellm.completion)(**litellm_ask(PROVIDER.events(chunks(), done=True), **STREAMED))
    assert isinstance(stream, CustomStreamWrapper)
    # The chunk with the usage has no choices.
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "hello"
    once(records, 15)


def test_litellm_async_stream(records: list[CallRecord]) -> None:
    async def work() -> str:
        stream = await ours(litellm.acompletion)(**litellm_ask(PROVIDER.events(chunks(), done=True), **STREAMED))
        assert isinstance(stream, CustomStreamWrapper)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert asyncio.run(work()) == "hello"
    once(records, 15)


def test_litellm_stream_that_is_abandoned(records: list[CallRecord]) -> None:
    stream = ours(litellm.completion)(**litellm_ask(PROVIDER.events(chunks(), done=True), **STREAMED))
    next(stream)
    del stream
    once(records, None, "cancelled")


def test_litellm_that_fails_raises_its_own_error(records: list[CallRecord]) -> None:
    with pytest.raises(litellm.exceptions.InternalServerError):
        ours(litellm.completion)(**litellm_ask("http://127.0.0.1:9"))
    once(records, None, "error")


# Bedrock

USED = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}


def events(usage: dict[str, int] | None = USED) -> list[tuple[str, dict[str, Any]]]:
    last: list[tuple[str, dict[str, Any]]] = [("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})]
    return [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hello"}}),
        ("messageStop", {"stopReason": "end_turn"}),
        *(last if usage else []),
    ]


def test_bedrock_converse(records: list[CallRecord]) -> None:
    client = amazon._client(PROVIDER.json(amazon._body(USED)))
    answer = ours(client.converse)(modelId="m", messages=amazon._HI)
    assert answer["output"]["message"]["content"][0]["text"] == "hello"
    once(records, 15)


def test_bedrock_converse_stream(records: list[CallRecord]) -> None:
    client = amazon._client(PROVIDER.amazon(events()))
    answer = ours(client.converse_stream)(modelId="m", messages=amazon._HI)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert isinstance(answer["stream"], AmazonStream)
    assert len(list(answer["stream"])) == 4
    once(records, 15)


def test_bedrock_stream_that_is_closed_early(records: list[CallRecord]) -> None:
    client = amazon._client(PROVIDER.amazon(events()))
    stream = ours(client.converse_stream)(modelId="m", messages=amazon._HI)["stream"]
    for _ in stream:
        break
    stream.close()
    once(records, None, "cancelled")


def test_bedrock_invoke_leaves_the_body_to_its_caller(records: list[CallRecord]) -> None:
    client = amazon._client(
        PROVIDER.json(
            {"anything": 1}, {"x-amzn-bedrock-input-token-count": "10", "x-amzn-bedrock-output-token-count": "5"}
        )
    )
    answer = ours(client.invoke_model)(modelId="m", body="{}")
    assert isinstance(answer["body"], StreamingBody)
    assert json.loads(answer["body"].read()) == {"anything": 1}
    once(records, 15)


def test_bedrock_invoke_stream(records: list[CallRecord]) -> None:
    import base64

    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 5}}
    pieces = [
        ("chunk", {"bytes": base64.b64encode(json.dumps(piece).encode()).decode()})
        for piece in ({"outputText": "hello"}, metrics)
    ]
    answer = ours(amazon._client(PROVIDER.amazon(pieces)).invoke_model_with_response_stream)(modelId="m", body="{}")
    assert isinstance(answer["body"], AmazonStream)
    assert len(list(answer["body"])) == 2
    once(records, 15)


# Gemini

COUNTED = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
GEMINI = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=PROVIDER.url))
ASK: dict[str, Any] = {"model": "gemini-2.5-pro", "contents": "hi"}


def test_gemini(records: list[CallRecord]) -> None:
    PROVIDER.json(google._body(COUNTED))
    assert ours(GEMINI.models.generate_content)(**ASK).text == "hello"
    once(records, 15)


def test_gemini_async(records: list[CallRecord]) -> None:
    PROVIDER.json(google._body(COUNTED))
    assert asyncio.run(ours(GEMINI.aio.models.generate_content)(**ASK)).text == "hello"
    once(records, 15)


def gemini_events() -> None:
    PROVIDER.events([google._body(None, "hel", None), google._body(COUNTED, "lo")])


def test_gemini_stream(records: list[CallRecord]) -> None:
    gemini_events()
    assert "".join(chunk.text for chunk in ours(GEMINI.models.generate_content_stream)(**ASK)) == "hello"
    once(records, 15)


def test_gemini_async_stream(records: list[CallRecord]) -> None:
    gemini_events()

    async def work() -> str:
        stream = await ours(GEMINI.aio.models.generate_content_stream)(**ASK)
        return "".join([chunk.text async for chunk in stream])

    assert asyncio.run(work()) == "hello"
    once(records, 15)


# OpenAI's responses


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o",
        "status": status,
        "output": [
            {
                "type": "message",
                "id": "m1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hello", "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        **more,
    }


def response_events() -> str:
    place = {"output_index": 0, "item_id": "m1", "content_index": 0}
    item = {"type": "message", "id": "m1", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    sent: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("in_progress", output=[], usage=None)},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", "part": part, **place},
        {"type": "response.output_text.delta", "delta": "hello", "logprobs": [], **place},
        {"type": "response.output_text.done", "text": "hello", "logprobs": [], **place},
        {"type": "response.completed", "response": response()},
    ]
    return PROVIDER.events([{"sequence_number": n, **event} for n, event in enumerate(sent)], named=True) + "/v1"


def gpt(kind: type[Any], url: str) -> Any:
    return kind(api_key="k", base_url=url, max_retries=0)


def test_openai_responses(records: list[CallRecord]) -> None:
    client = gpt(openai.OpenAI, PROVIDER.json(response()) + "/v1")
    assert ours(client.responses.create)(model="gpt-4o", input="hi").output_text == "hello"
    once(records, 15)


def test_openai_responses_streamed(records: list[CallRecord]) -> None:
    stream = ours(gpt(openai.OpenAI, response_events()).responses.create)(model="gpt-4o", input="hi", stream=True)
    assert isinstance(stream, openai.Stream)
    assert [event.type for event in stream][-1] == "response.completed"
    once(records, 15)


def test_openai_responses_manager_and_its_helpers(records: list[CallRecord]) -> None:
    manager = ours(gpt(openai.OpenAI, response_events()).responses.stream)(model="gpt-4o", input="hi")
    assert isinstance(manager, ResponseStreamManager)
    with manager as stream:
        assert isinstance(stream, ResponseStream)
        assert stream.get_final_response().output_text == "hello"
    once(records, 15)


def test_openai_async_responses_manager(records: list[CallRecord]) -> None:
    async def work() -> None:
        async with ours(gpt(openai.AsyncOpenAI, response_events()).responses.stream)(
            model="gpt-4o", input="hi"
        ) as stream:
            assert [event.type async for event in stream][-1] == "response.completed"

    asyncio.run(work())
    once(records, 15)


def test_openai_responses_manager_left_early(records: list[CallRecord]) -> None:
    with ours(gpt(openai.OpenAI, response_events()).responses.stream)(model="gpt-4o", input="hi") as stream:
        next(iter(stream))
    once(records, None, "cancelled")
