"""Ours, in each of its modes; `url` empty is a sink that throws away what it gets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from calls import CHUNKS, MODEL, PERSONA, PROMPT, RESPONSE, Contender, plain


def disabled(url: str) -> Contender:
    os.environ["HYPERTOOL_DISABLED"] = "1"
    return _observed(RESPONSE)


def no_sink(url: str) -> Contender:
    return _observed(RESPONSE)


def as_dict(url: str) -> Contender:
    return _with_sinks(url, RESPONSE)


def as_object(url: str) -> Contender:
    return _with_sinks(url, _object())


def in_application(url: str) -> Contender:
    """Spans by the application's provider, whose own exporter sends them as well."""
    return _in_application(url, url)


def application_discards(url: str) -> Contender:
    """The same where the application's exporter costs nothing: what is ours of it."""
    return _in_application(url, "")


def _in_application(url: str, exported_to: str) -> Contender:
    from opentelemetry import trace
    from otel import provider

    own = provider(exported_to)
    trace.set_tracer_provider(own)
    made = _with_sinks(url, RESPONSE)

    def settle() -> None:
        made.settle()
        own.force_flush()

    return Contender(made.call, settle)


def chunks(url: str) -> Contender:
    """An SDK's own async stream."""
    return _stream(True)


def bare_chunks(url: str) -> Contender:
    return _stream(False)


def _object() -> Any:
    from openai.types.chat import ChatCompletion

    return ChatCompletion.model_validate(RESPONSE)


def _observed(response: object) -> Contender:
    from hypertool import ObservableLLM

    def function(prompt: str) -> object:
        plain(prompt)
        return response

    chat = ObservableLLM(function, MODEL, default_persona=PERSONA)
    return Contender(lambda: chat(PROMPT))


def _with_sinks(url: str, response: object) -> Contender:
    where = url or "http://127.0.0.1:9"
    os.environ.update(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": where,
            "LANGFUSE_HOST": where,
            "LANGFUSE_PUBLIC_KEY": "pk-lf-test",
            "LANGFUSE_SECRET_KEY": "sk-lf-test-secret",
        }
    )
    from hypertool.sinks.base import Outcome, Verdict
    from hypertool.sinks.http import HttpSink
    from hypertool.spans import span as spans

    if not url:
        HttpSink.send = lambda self, batch: Verdict(Outcome.SENT)  # type: ignore[method-assign]
    chat = _observed(response).call

    def settle() -> None:
        for sink in (spans.sink(), spans.langfuse_sink()):
            assert sink is None or sink.flush(60)

    return Contender(chat, settle)


def _stream(observed: bool) -> Contender:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

    from hypertool import ObservableLLM

    chunk = ChatCompletionChunk.model_validate(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
        }
    )
    last = ChatCompletionChunk.model_validate(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [],
            "usage": RESPONSE["usage"],
        }
    )
    client = AsyncOpenAI(api_key="k")

    async def pieces() -> AsyncIterator[Any]:
        for _ in range(CHUNKS - 1):
            yield chunk
        yield last

    async def function(prompt: str) -> Any:
        nothing: Any = None  # no response is read: the chunks are there
        stream = AsyncStream(cast_to=ChatCompletionChunk, response=nothing, client=client)
        stream._iterator = pieces()
        return stream

    asked = ObservableLLM(function, MODEL, default_persona=PERSONA) if observed else function

    async def consume() -> None:
        async for _ in await asked(PROMPT):
            pass

    loop = asyncio.new_event_loop()
    return Contender(lambda: loop.run_until_complete(consume()), per_call=CHUNKS)


CONTENDERS = {
    found.__name__: found
    for found in (disabled, no_sink, as_dict, as_object, in_application, application_discards, chunks, bare_chunks)
}
