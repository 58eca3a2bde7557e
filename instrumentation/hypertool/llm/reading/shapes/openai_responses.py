"""OpenAI responses, images, transcriptions and realtime answers; also xAI's, OpenRouter's and Hugging Face's.

Rule (https://platform.openai.com/docs/api-reference/responses/object): `input_tokens` includes the cache,
`output_tokens` the reasoning; if a server counts differently, its total shows it. Details are in
`input_tokens_details`, or in `input_token_details` for transcriptions and realtime. `tool_usage.image_gen` is the work
of another model and is not counted.

Streams: each answer has an event at the beginning with its id, and an event at the end with the whole usage.
"""

from __future__ import annotations

from typing import Any

from .. import billing
from ..answers import Answers
from ..counts import Record, both, count, first, inside, known, names, settle_details, usage_of
from ..fields import Fields, quick_reading, text, tier
from ..usage import NO_USAGE, Missing, Reading, Usage
from ..view import view

ENDS = (
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.done",
    "conversation.response.done",
)
PIECES = (
    "transcript.text.done",
    "image_generation.completed",
    "image_edit.completed",
    "speech.audio.done",
)

# The names that OpenAI itself sends; a record with other names is checked more closely.
_PLAIN = names("input_tokens output_tokens total_tokens input_tokens_details output_tokens_details")
_GIVEN_PLAIN = names("cached_tokens cache_write_tokens text_tokens audio_tokens image_tokens cached_tokens_details")
_MADE = names("reasoning_tokens text_tokens audio_tokens image_tokens")
_CACHED = ("cached_tokens", "cache_read_input_tokens")
_RECORD = _PLAIN.union(
    _CACHED,
    names(
        """input_token_details output_token_details cache_creation_input_tokens prompt_tokens_details reasoning_tokens
        cache_creation"""
    ),
)
# Perplexity has Anthropic's names in the details.
_GIVEN = _GIVEN_PLAIN.union(names("cache_creation_tokens cache_read_input_tokens cache_creation_input_tokens"))


def usage(record: Record) -> Usage | Missing:
    """The partition of a record with `input_tokens` and their details; also of DashScope's own record.

    DashScope (https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope) includes the cache in the
    input, and names its details `prompt_tokens_details`.
    """
    get = record.get
    total = get("total_tokens")
    total = 0 if total is None else count(total)
    given, made = both(record, "input_tokens", "output_tokens", total)
    details, thoughts = get("input_tokens_details"), get("output_tokens_details")
    # A record with all five names and no other needs no further look-up.
    more = (len(record) != 5 or details is None or thoughts is None) and not _PLAIN.issuperset(record)
    if more:
        known(record, _RECORD)
        details = first(record, "input_token_details", "prompt_tokens_details") if details is None else details
        thoughts = get("output_token_details") if thoughts is None else thoughts
    cached = write = reasoning = None
    if details is not None:
        inner = inside(details, _GIVEN_PLAIN, _GIVEN)
        cached, write = inner.get("cached_tokens"), inner.get("cache_write_tokens")
        if not _GIVEN_PLAIN.issuperset(inner):
            cached = cached or inner.get("cache_read_input_tokens")
            write = first(inner, "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    if thoughts is not None:
        reasoning = inside(thoughts, _MADE, _MADE).get("reasoning_tokens")
    if more:
        cached = cached or first(record, *_CACHED) or cached
        write = write or get("cache_creation_input_tokens")
        reasoning = reasoning or get("reasoning_tokens")
    return settle_details(given, made, cached, write, reasoning, total)


def response(fields: Fields, provider: str | None) -> Reading:
    """A response; its finish reason is its status, or why it is incomplete."""
    get = fields.get
    details = get("incomplete_details")
    reason = text((None if details is None else view(details).get("reason")) or get("status"))
    record = get("usage")
    return quick_reading(
        Reading,
        (
            usage_of(usage, record),
            text(get("model")),
            text(get("id")),
            (reason,) if reason else (),
            provider,
            tier(get("service_tier")),
            None if record is None else billing.of_responses(record, get("output")),
            (),
        ),
    )


def transcription(fields: Fields, provider: str | None) -> Reading:
    """A transcription or an image; one that is billed by the second has no tokens."""
    record = fields.get("usage")
    if view(record).get("type") == "duration":
        return Reading(NO_USAGE, provider=provider)
    return response(fields, provider)


def start(answers: Answers, event: Any) -> None:
    """`response.created`: a new answer, with its id."""
    inner = view(view(event).get("response"))
    answers.begin(inner.get("model"), _id(inner), "openai")
    answers.needs_end = True


def end(answers: Answers, event: Any) -> None:
    """The closing event: the whole usage."""
    fields = view(event)
    inner = view(fields.get("response"))
    if not inner and fields.get("usage") is not None:  # Mistral's conversations
        inner = fields
    elif not inner.get("usage") and fields.get("usage"):  # xAI's realtime
        inner = {**inner, "usage": fields["usage"]}
    whole = response(inner, "openai")
    identity = _id(inner)
    # Some gateways give each event another id: the answer that has begun is the one that ends.
    if not answers.known or (answers.settled and not (identity and identity == answers.id)):
        answers.begin(whole.model, identity, "openai")
    answers.known = answers.ended = True
    answers.model, answers.id = whole.model or answers.model, answers.id or identity
    answers.reasons += whole.finish_reasons
    answers.provider, answers.tier = whole.provider, whole.service_tier or answers.tier
    answers.take(inner.get("usage"), usage, True)
    answers.said = whole.billing
    answers.settled = True


def piece(answers: Answers, event: Any) -> None:
    """The end of a streamed transcription, image or speech."""
    fields = view(event)
    answers.known, answers.provider = True, "openai"
    if fields.get("usage") is not None:
        whole = transcription(fields, "openai")
        if isinstance(whole.usage, Usage) and answers.settled and answers.record is not None:
            answers.begin(answers.model, None, "openai")  # one of several images
        answers.take(fields.get("usage"), usage, True, billing.of_responses)


def _id(response: Fields) -> Any:
    """The response's id, or None; openai-agents makes one up if the server sends none."""
    identity = response.get("id")
    return None if identity == "__fake_id__" else identity
