"""The words of real responses and streams, where they were asked for: read from the SDKs' own objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import litellm
import openai
import pytest
import rows_amazon as amazon
import rows_google as google
import wrapped
import wrapped_others as others
from anthropic import Anthropic
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from mistralai.client import Mistral
from provider import PROVIDER

from hypertool.llm.describing.messages import input_messages, output_messages
from hypertool.llm.describing.transcript import Transcript


def gpt(url: str) -> Any:
    return openai.OpenAI(api_key="k", base_url=url + "/v1", max_retries=0)


def mistral(url: str) -> Any:
    return Mistral(api_key="none", server_url=url)


def gemini_stream() -> Any:
    others.gemini_events()
    return others.GEMINI.models.generate_content_stream(**others.ASK)


def gemini() -> Any:
    PROVIDER.json(google._body(others.COUNTED))
    return others.GEMINI.models.generate_content(**others.ASK)


RESPONSES: dict[str, Callable[[], Any]] = {
    "openai": lambda: gpt(PROVIDER.json(others.chat())).chat.completions.create(**wrapped.ASK),
    "openai responses": lambda: gpt(PROVIDER.json(others.response())).responses.create(model="m", input="hi"),
    "mistral": lambda: mistral(PROVIDER.json(others.chat())).chat.complete(model="m", messages=others.HI),
    "litellm": lambda: litellm.completion(**others.litellm_ask(PROVIDER.json(others.chat()))),
    "bedrock": lambda: amazon._client(PROVIDER.json(amazon._body(others.USED))).converse(
        modelId="m", messages=amazon._HI
    ),
    "gemini": gemini,
    "langchain": lambda: AIMessage("hello"),
}
STREAMS: dict[str, Callable[[], Any]] = {
    "openai": lambda: gpt(PROVIDER.events(others.chunks(), done=True)).chat.completions.create(
        **wrapped.ASK, stream=True
    ),
    "openai responses": lambda: openai.OpenAI(api_key="k", base_url=others.response_events()).responses.create(
        model="m", input="hi", stream=True
    ),
    "anthropic": lambda: Anthropic(api_key="k", base_url=PROVIDER.events(wrapped.EVENTS, named=True)).messages.create(
        **wrapped.ASK_CLAUDE, stream=True
    ),
    "mistral": lambda: mistral(PROVIDER.events(others.chunks(), done=True)).chat.stream(model="m", messages=others.HI),
    "litellm": lambda: litellm.completion(
        **others.litellm_ask(PROVIDER.events(others.chunks(), done=True), **others.STREAMED)
    ),
    "bedrock": lambda: amazon._client(PROVIDER.amazon(others.events())).converse_stream(
        modelId="m", messages=amazon._HI
    )["stream"],
    "gemini": gemini_stream,
    "langchain": lambda: [AIMessageChunk("hel"), AIMessageChunk("lo")],
}


def words(found: str) -> str:
    (message,) = json.loads(found)
    assert message["role"] == "assistant"
    return "".join(part["content"] for part in message["parts"])


@pytest.mark.parametrize("sdk", RESPONSES)
def test_a_response(sdk: str) -> None:
    assert words(output_messages(RESPONSES[sdk]())) == "hello"


@pytest.mark.parametrize("sdk", STREAMS)
def test_a_stream(sdk: str) -> None:
    transcript = Transcript()
    for chunk in STREAMS[sdk]():
        transcript.feed(chunk)
    assert words(output_messages(transcript.response())) == ("hi" if sdk == "anthropic" else "hello")


def test_a_prompt_of_message_objects() -> None:
    assert json.loads(input_messages([HumanMessage("hi"), AIMessage("hello")])) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "hello"}]},
    ]
