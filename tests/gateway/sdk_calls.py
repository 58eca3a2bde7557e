"""Run in the SDKs' environment: calls through the gateway with each provider's SDK; prints one JSON line a call."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import openai
from google import genai

GATEWAY = sys.argv[1]
MESSAGES: Any = [{"role": "user", "content": "Say hello"}]


def said(name: str, total: int | None) -> None:
    print(json.dumps([name, total]))


def with_anthropic() -> None:
    client = anthropic.Anthropic(base_url=f"{GATEWAY}/p/backend-engineer/anthropic", api_key="sk-a", max_retries=0)
    asked: Any = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": MESSAGES}
    usage = client.messages.create(**asked).usage
    said("anthropic", _anthropic(usage))
    with client.messages.stream(**asked) as stream:
        said("anthropic stream", _anthropic(stream.get_final_message().usage))


def _anthropic(usage: Any) -> int:
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return int(usage.input_tokens + cached + usage.output_tokens)


def with_openai() -> None:
    client = openai.OpenAI(base_url=f"{GATEWAY}/p/backend-engineer/openai/v1", api_key="sk-o", max_retries=0)
    chat = client.chat.completions.create(model="gpt-4.1", messages=MESSAGES)
    said("chat", chat.usage.total_tokens if chat.usage else None)
    chunks = client.chat.completions.create(
        model="gpt-4.1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    said("chat stream", [chunk.usage.total_tokens for chunk in chunks if chunk.usage][-1])
    events = client.responses.create(model="gpt-4.1", input="Say hello", stream=True)
    ends = [event.response.usage for event in events if event.type == "response.completed"]
    said("responses stream", ends[-1].total_tokens if ends[-1] else None)


def with_google() -> None:
    client = genai.Client(
        api_key="sk-g", http_options=genai.types.HttpOptions(base_url=f"{GATEWAY}/p/backend-engineer/gemini")
    )
    answer = client.models.generate_content(model="gemini-2.5-pro", contents="Say hello")
    said("gemini", answer.usage_metadata.total_token_count if answer.usage_metadata else None)
    chunks = list(client.models.generate_content_stream(model="gemini-2.5-pro", contents="Say hello"))
    last = chunks[-1].usage_metadata
    said("gemini stream", last.total_token_count if last else None)


def refused() -> None:
    """What each SDK makes of a refusal."""
    try:
        anthropic.Anthropic(base_url=f"{GATEWAY}/p/backend-engineer/anthropic", api_key="x").messages.create(
            model="m", max_tokens=1, messages=MESSAGES
        )
    except anthropic.APIStatusError as error:
        said(f"anthropic {error.body['error']['message'][:40]}", error.status_code)  # type: ignore[index]
    try:
        openai.OpenAI(base_url=f"{GATEWAY}/p/backend-engineer/openai/v1", api_key="x").chat.completions.create(
            model="m", messages=MESSAGES
        )
    except openai.APIStatusError as error:
        said(f"openai {error.body['message'][:40]}", error.status_code)  # type: ignore[index]
    google = genai.Client(
        api_key="x", http_options=genai.types.HttpOptions(base_url=f"{GATEWAY}/p/backend-engineer/gemini")
    )
    try:
        google.models.generate_content(model="m", contents="x")
    except genai.errors.APIError as error:
        said(f"gemini {str(error.message)[:40]}", error.code)


if sys.argv[2] == "refused":
    refused()
else:
    with_anthropic()
    with_openai()
    with_google()
