"""`hypertool.instrument()` with the real SDKs: each call is counted once, whatever way it is made, and undone after."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import boto3
import cohere
import groq
import instructor
import litellm
import ollama
import openai
import pytest
from answers import (
    CHAT,
    COHERE,
    COMPACTION,
    CONVERSATION,
    CONVERSE,
    GEMINI,
    HI,
    INTERACTION,
    MESSAGE,
    OLLAMA,
    PARSED,
    PICTURE,
    RESPONSE,
    RESPONSE_EVENTS,
    TRANSCRIPTION,
    VECTORS,
    WITH_DETAILS,
)
from google import genai
from mistralai.client import Mistral
from provider import PROVIDER
from pydantic import BaseModel
from wrapped import ASK, CHUNKS, EVENTS
from wrapping import once

import hypertool
from hypertool import ObservableLLM
from hypertool.llm.instrumenting.instrument import packages
from hypertool.llm.record import CallRecord


@pytest.fixture(autouse=True)
def instrumented(records: list[CallRecord]) -> Iterator[None]:
    """Every SDK observed, for one test."""
    hypertool.instrument(metrics=False)
    yield
    hypertool.uninstrument()


def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="none", base_url=url, max_retries=0)


def openai_async(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)


def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="none", base_url=url, max_retries=0)


def bedrock(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


def gemini(url: str) -> genai.Client:
    return genai.Client(api_key="none", http_options={"base_url": url})


def openai_stream() -> None:
    stream = openai_client(PROVIDER.events(CHUNKS, done=True)).chat.completions.create(**ASK, stream=True)
    assert isinstance(stream, openai.Stream)
    assert len(list(stream)) == len(CHUNKS)


def openai_manager() -> None:
    client = openai_client(PROVIDER.events(CHUNKS, done=True))
    with client.chat.completions.stream(**ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == "ab"


async def openai_later() -> None:
    assert (await openai_async(PROVIDER.json(CHAT)).chat.completions.create(**ASK)).choices[0].message.content == "hi"


async def openai_stream_later() -> None:
    stream = await openai_async(PROVIDER.events(CHUNKS, done=True)).chat.completions.create(**ASK, stream=True)
    assert isinstance(stream, openai.AsyncStream)
    assert len([chunk async for chunk in stream]) == len(CHUNKS)


def claude_manager() -> None:
    with claude(PROVIDER.events(EVENTS, named=True)).messages.stream(
        model="claude-sonnet-4-5", max_tokens=9, messages=HI
    ) as stream:
        assert "".join(stream.text_stream) == "hi"


def gemini_once() -> None:
    client = gemini(PROVIDER.json(GEMINI))  # it closes its connections when nothing refers to it
    assert client.models.generate_content(model="gemini-2.5-flash", contents="x").text == "hi"


def gemini_stream() -> None:
    client = gemini(PROVIDER.events([GEMINI]))
    chunks = client.models.generate_content_stream(model="gemini-2.5-flash", contents="x")
    assert [chunk.text for chunk in chunks] == ["hi"]


async def gemini_stream_later() -> None:
    client = gemini(PROVIDER.events([GEMINI]))
    chunks = await client.aio.models.generate_content_stream(model="gemini-2.5-flash", contents="x")
    assert [chunk.text async for chunk in chunks] == ["hi"]


def gemini_interaction() -> None:
    client = gemini(PROVIDER.json(INTERACTION))
    assert client.interactions.create(model="gemini-2.5-flash", input="x").status == "completed"


def gemini_interaction_stream() -> None:
    begun = {"event_type": "interaction.created", "interaction": {**INTERACTION, "usage": None}}
    client = gemini(PROVIDER.events([begun, {"event_type": "interaction.completed", "interaction": INTERACTION}]))
    assert len(list(client.interactions.create(model="gemini-2.5-flash", input="x", stream=True))) == 2


def mistral_conversation_stream() -> None:
    events = [
        {"type": "conversation.response.started", "conversation_id": "c1"},
        {"type": "conversation.response.done", "usage": CHAT["usage"]},
    ]
    client = Mistral(api_key="none", server_url=PROVIDER.events(events, named=True))
    with client.beta.conversations.start_stream(inputs="x", model="m") as stream:
        assert len(list(stream)) == 2


def openai_beta_responses_stream() -> None:
    client = openai_client(PROVIDER.events(RESPONSE_EVENTS, named=True))
    assert len(list(client.beta.responses.create(model="gpt-4o", input="x", stream=True))) == 2


def mistral_responses_stream() -> None:
    client = Mistral(api_key="none", server_url=PROVIDER.events(RESPONSE_EVENTS, named=True))
    assert len(list(client.responses.create(model="m", input="x", stream=True))) == 2


def mistral_transcription_stream() -> None:
    event = {**TRANSCRIPTION, "type": "transcription.done"}
    client = Mistral(api_key="none", server_url=PROVIDER.events([event], named=True))
    with client.audio.transcriptions.stream(model="v", file_url="http://x") as stream:
        assert len(list(stream)) == 1


def gemini_decision() -> None:
    client = gemini(PROVIDER.json({**INTERACTION, "object": "decision", "answers": {}}))
    assert client.decisions.create(model="gemini-2.5-flash", input="x", questions={}).usage.total_tokens == 15


async def cohere_raw_later() -> None:
    client = cohere.AsyncClientV2("none", base_url=PROVIDER.json(COHERE))
    assert (await client.with_raw_response.chat(model="command-r", messages=HI)).data.id == "c"


class Answer(BaseModel):
    """What instructor makes of an answer."""

    name: str | None = None


def instructor_partial() -> None:
    tool = {"index": 0, "id": "t", "type": "function", "function": {"name": "Answer", "arguments": '{"name": "a"}'}}
    first = {**CHUNKS[0], "choices": [{"index": 0, "delta": {"tool_calls": [tool]}, "finish_reason": None}]}
    client = instructor.from_openai(openai_client(PROVIDER.events([first, *CHUNKS[2:]], done=True)))
    answers = client.chat.completions.create_partial(response_model=Answer, **ASK)
    assert [answer.name for answer in answers][-1] == "a"


LITELLM: dict[str, Any] = {"model": "openai/gpt-4o", "api_key": "none", "num_retries": 0, "messages": HI}
CALLS: dict[str, tuple[Callable[[], Any], int]] = {
    "openai": (lambda: openai_client(PROVIDER.json(CHAT)).chat.completions.create(**ASK), 15),
    "openai_stream": (openai_stream, 15),
    "openai_manager": (openai_manager, 15),
    "openai_async": (openai_later, 15),
    "openai_async_stream": (openai_stream_later, 15),
    "openai_parse": (lambda: openai_client(PROVIDER.json(CHAT)).chat.completions.parse(**ASK), 15),
    "anthropic": (
        lambda: claude(PROVIDER.json(MESSAGE)).messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HI),
        20,
    ),
    "anthropic_manager": (claude_manager, 20),
    "groq": (lambda: groq.Groq(api_key="none", base_url=PROVIDER.json(CHAT)).chat.completions.create(**ASK), 15),
    "gemini": (gemini_once, 15),
    "gemini_stream": (gemini_stream, 15),
    "gemini_async_stream": (gemini_stream_later, 15),
    "mistral": (
        lambda: Mistral(api_key="none", server_url=PROVIDER.json(CHAT)).chat.complete(model="m", messages=HI),
        15,
    ),
    "litellm": (lambda: litellm.completion(**LITELLM, api_base=PROVIDER.json(CHAT)), 15),
    "litellm_async": (lambda: litellm.acompletion(**LITELLM, api_base=PROVIDER.json(CHAT)), 15),
    "litellm_responses": (
        lambda: litellm.responses("x", "openai/gpt-4o", api_key="none", api_base=PROVIDER.json(RESPONSE)),
        15,
    ),
    "litellm_responses_async": (
        lambda: litellm.aresponses("x", "openai/gpt-4o", api_key="none", api_base=PROVIDER.json(RESPONSE)),
        15,
    ),
    "gemini_interaction": (gemini_interaction, 15),
    "gemini_interaction_stream": (gemini_interaction_stream, 15),
    "mistral_conversation": (
        lambda: Mistral(api_key="none", server_url=PROVIDER.json(CONVERSATION)).beta.conversations.start(
            inputs="x", model="m"
        ),
        15,
    ),
    "mistral_conversation_stream": (mistral_conversation_stream, 15),
    "instructor_partial": (instructor_partial, 15),
    "openai_compact": (lambda: openai_client(PROVIDER.json(COMPACTION)).responses.compact(model="m", input="x"), 15),
    "openai_beta_responses": (
        lambda: openai_client(PROVIDER.json(WITH_DETAILS)).beta.responses.create(model="m", input="x"),
        15,
    ),
    "openai_beta_responses_stream": (openai_beta_responses_stream, 15),
    "embeddings_with_a_total_only": (  # Voyage's, by OpenAI's client
        lambda: openai_client(PROVIDER.json({**VECTORS, "usage": {"total_tokens": 15}})).embeddings.create(
            model="e", input="x"
        ),
        15,
    ),
    "groq_embeddings": (
        lambda: groq.Groq(api_key="none", base_url=PROVIDER.json(VECTORS)).embeddings.create(model="e", input="x"),
        15,
    ),
    "mistral_responses": (
        lambda: Mistral(api_key="none", server_url=PROVIDER.json(WITH_DETAILS)).responses.create(model="m", input="x"),
        15,
    ),
    "mistral_responses_stream": (mistral_responses_stream, 15),
    "mistral_transcription": (
        lambda: Mistral(api_key="none", server_url=PROVIDER.json(TRANSCRIPTION)).audio.transcriptions.complete(
            model="v", file_url="http://x"
        ),
        15,
    ),
    "mistral_transcription_stream": (mistral_transcription_stream, 15),
    "gemini_decision": (gemini_decision, 15),
    "cohere_raw": (
        lambda: cohere.ClientV2("none", base_url=PROVIDER.json(COHERE)).with_raw_response.chat(
            model="command-r", messages=HI
        ),
        15,
    ),
    "cohere_raw_async": (cohere_raw_later, 15),
    "cohere_parse": (
        lambda: cohere.ClientV2("none", base_url=PROVIDER.json(PARSED)).parse(model="p", document=PICTURE),
        15,
    ),
    "ollama_systemone": (
        lambda: ollama.Client(
            PROVIDER.json({"model": "l", "answers": {}, "usage": {"input_tokens": 10, "output_tokens": 5}})
        ).systemone(model="l", state="x", questions={}),
        15,
    ),
    "litellm_messages": (
        lambda: litellm.anthropic.messages.acreate(
            model="anthropic/claude-sonnet-4-5",
            max_tokens=9,
            messages=HI,
            api_key="none",
            api_base=PROVIDER.json(MESSAGE),
        ),
        20,
    ),
    "bedrock": (
        lambda: bedrock(PROVIDER.json(CONVERSE)).converse(
            modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "x"}]}]
        ),
        15,
    ),
}
# Read by their own rows of the usage table; here it counts that each is one call.
ONE_CALL: dict[str, Callable[[], Any]] = {
    "openai_raw": lambda: openai_client(PROVIDER.json(CHAT)).chat.completions.with_raw_response.create(**ASK).parse(),
    "cohere": lambda: cohere.ClientV2("none", base_url=PROVIDER.json(COHERE)).chat(model="command-r", messages=HI),
    "ollama": lambda: ollama.Client(PROVIDER.json(OLLAMA)).chat(model="llama3", messages=HI),
    "ollama_async": lambda: ollama.AsyncClient(PROVIDER.json(OLLAMA)).chat(model="llama3", messages=HI),
}


def made(call: Callable[[], Any]) -> Any:
    """The result of a call, awaited where it is to be awaited."""
    result = call()

    async def wait() -> Any:
        return await result

    return asyncio.run(wait()) if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("name", CALLS)
def test_each_call_is_counted_once(records: list[CallRecord], name: str) -> None:
    """One record with the right total; the SDK's own result comes back."""
    call, total = CALLS[name]
    made(call)
    once(records, total)


@pytest.mark.parametrize("name", ONE_CALL)
def test_each_call_is_one_request(records: list[CallRecord], name: str) -> None:
    """One record."""
    made(ONE_CALL[name])
    gc.collect()
    assert [record.outcome for record in records] == ["success"]


def test_the_model_is_each_calls_own(records: list[CallRecord]) -> None:
    """The label is the model that the call names."""
    openai_client(PROVIDER.json(CHAT)).chat.completions.create(model="gpt-4o-mini", messages=HI)
    CALLS["bedrock"][0]()
    assert [record.model for record in records] == ["gpt-4o-mini", "amazon.nova-lite-v1:0"]


@pytest.mark.parametrize("direct", [True, False])
def test_a_call_inside_an_observed_one_counts_once(records: list[CallRecord], direct: bool) -> None:
    """A wrapped method, and a wrapped function around one, have one record with usage."""
    create = openai_client(PROVIDER.json(CHAT)).chat.completions.create
    wrapped = ObservableLLM(create if direct else lambda **ask: create(**ask), "m", metrics=False)
    wrapped(**ASK)
    assert [record.counted.total for record in records if record.counted][:1] == [15]
    if direct:
        once(records, 15)


def test_arguments_called_like_ours_reach_the_sdk(records: list[CallRecord]) -> None:
    """`metadata` is a parameter of OpenAI's; the patch takes nothing away."""
    openai_client(PROVIDER.json(CHAT)).chat.completions.create(**ASK, metadata={"a": "b"})
    once(records, 15)


def test_errors_are_the_sdks_own(records: list[CallRecord]) -> None:
    """An error of the SDK comes out as it is, and its call is one that failed."""
    with pytest.raises(openai.APIConnectionError):
        openai_client("http://127.0.0.1:9").chat.completions.create(**ASK)
    once(records, None, "error")


def test_twice_is_once_and_undone_is_undone(records: list[CallRecord]) -> None:
    """A second `instrument()` changes nothing; after `uninstrument()` every method is the SDK's own."""
    hypertool.instrument()
    CALLS["openai"][0]()
    once(records, 15)
    hypertool.uninstrument()
    hypertool.uninstrument()
    for name in ("openai", "anthropic", "litellm", "bedrock", "gemini"):
        CALLS[name][0]()
    once(records, 15)


def test_only_some_sdks_and_no_unknown_ones(records: list[CallRecord]) -> None:
    """`only` leaves the others alone, and names what it knows where it is given something else."""
    hypertool.uninstrument()
    hypertool.instrument(["anthropic"], metrics=False)
    CALLS["openai"][0]()
    CALLS["anthropic"][0]()
    once(records, 20)
    hypertool.uninstrument()
    with pytest.raises(ValueError, match="expected openai, anthropic"):
        hypertool.instrument(["opnai"])
    assert {"google-genai", "bedrock", "cohere", "ollama", "mistralai", "groq", "litellm"} < set(packages())
