"""OpenAI chat and text completions, embeddings, assistants' runs, and compatible servers.

Rule (https://platform.openai.com/docs/api-reference/chat/object): `prompt_tokens` includes the cache,
`completion_tokens` the reasoning. If a server counts differently, its `total_tokens` shows it:

* xAI does not include the reasoning in the completion (https://docs.x.ai/docs/guides/reasoning).
* Gemini's endpoint counts thoughts only in the total (https://ai.google.dev/gemini-api/docs/openai).
* OpenRouter, LiteLLM and DeepSeek include the cache (`prompt_cache_hit_tokens`, `cache_write_tokens`,
  `cache_creation_input_tokens`); Mistral calls it `num_cached_tokens`, Moonshot and Together `cached_tokens`,
  Writer and OpenAI's runs `prompt_token_details`.
* Mistral's agents count results of built-in tools in addition to the prompt (`connector_tokens`); its audio is input
  that only the total has (`prompt_audio_seconds`).
* Perplexity's deep research bills `citation_tokens` and `reasoning_tokens` in addition to both; its total includes
  neither (https://docs.perplexity.ai/guides/pricing).
* Azure's Grok counts the cache of a prompt that it hides: if the total confirms a prompt that is smaller than its
  cache, all of it is cached. OpenRouter's Gemini writes the cache that it reads: those tokens count as read. In a
  record with OpenAI's own names only, both are contradictions.
* GigaChat's prompt and total exclude `precached_prompt_tokens`
  (https://developers.sber.ru/docs/ru/gigachat/guides/counting-tokens). Snowflake's total includes what its guard model
  has read (`guardrails_tokens`): input.
* Vercel's gateway counts the thoughts of Google's models in neither the completion nor the total.

Streams: the last usage counts. OpenAI sends it after the last choice, Groq in `x_groq`, Moonshot in the last choice;
others repeat a growing count on every chunk.
"""

from __future__ import annotations

from typing import Any

from .. import billing
from ..answers import Answers
from ..counts import ReadRecord, Record, both, count, first, inside, known, names, settle, usage_of
from ..fields import TEXT_LIMIT, Fields, quick_reading, reasons, text, tier
from ..usage import MAX_TOKENS, Missing, Reading, Usage, unchecked
from ..view import view
from . import bedrock

# The names that OpenAI itself sends; a record with other names is checked more closely.
_PLAIN = names("prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details")
_GIVEN_PLAIN = names("cached_tokens cache_write_tokens audio_tokens text_tokens image_tokens video_tokens")
_MADE = names(
    "reasoning_tokens audio_tokens accepted_prediction_tokens rejected_prediction_tokens image_tokens text_tokens"
)
_CACHED = (
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "num_cached_tokens",
    "cached_prompt_text_tokens",
    "cached_prompt_tokens",
    "precached_prompt_tokens",
)
_WRITTEN = ("cache_creation_input_tokens", "cache_write_tokens", "cache_creation_tokens")
_WRITTEN_INSIDE = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
# Under these names, a cache above the prompt is one beside it.
_APART = names("cache_read_input_tokens cached_prompt_tokens precached_prompt_tokens")
_AGES = ("cache_creation_token_details", "cache_creation")
_RECORD = _PLAIN.union(
    _CACHED,
    _WRITTEN,
    names("prompt_token_details completion_token_details prompt_cache_miss_tokens reasoning_tokens cache_creation"),
)
_GIVEN = _GIVEN_PLAIN.union(_WRITTEN_INSIDE, _AGES, names("cache_read_input_tokens"))


def usage(record: Record) -> Usage | Missing:
    """The partition of a record with `prompt_tokens`."""
    get = record.get
    total = get("total_tokens")
    total = 0 if total is None else count(total)
    given, made = both(record, "prompt_tokens", "completion_tokens", total)
    details = get("prompt_tokens_details")
    thoughts = get("completion_tokens_details")
    # A record with all five names and no other needs no further look-up.
    more = (len(record) != 5 or details is None or thoughts is None) and not _PLAIN.issuperset(record)
    if more:
        known(record, _RECORD)
        details = get("prompt_token_details") if details is None else details
        thoughts = get("completion_token_details") if thoughts is None else thoughts
    hour = 0
    cached = write = reasoning = None
    if details is not None:
        inner = view(details)
        cached, write = inner.get("cached_tokens"), inner.get("cache_write_tokens")
        if not _GIVEN_PLAIN.issuperset(inner):
            known(inner, _GIVEN)
            # LiteLLM gives the same number under several names; Qwen's explicit cache uses Anthropic's names.
            write = first(inner, *_WRITTEN_INSIDE)
            ages = first(inner, *_AGES)
            hour = 0 if ages is None or not write else count(view(ages).get("ephemeral_1h_input_tokens"))
    if thoughts is not None:
        reasoning = inside(thoughts, _MADE, _MADE).get("reasoning_tokens")
    if more:
        cached = cached or first(record, *_CACHED) or cached
        write = write or first(record, *_WRITTEN) or write
        reasoning = reasoning or get("reasoning_tokens")
        given += count(get("connector_tokens"))
        if "precached_prompt_tokens" in record:
            given, total = given + count(get("precached_prompt_tokens")), 0
        elif "guardrails_tokens" in record:
            given = max(given, total - made)
        if get("prompt_audio_seconds") and total > given + made:
            given = total - made
        if "citation_tokens" in record:
            extra, thought = count(get("citation_tokens")), count(reasoning)
            if total == given + made and (extra or thought > made):
                given, made, total = given + extra, made + thought, 0
    cached = 0 if cached is None else count(cached)
    write = 0 if write is None else count(write)
    if more and cached + write > given and cached and total == given + made and _APART.isdisjoint(record):
        cached, write, hour = min(cached, given), 0, 0
    return settle(given, made, cached, write, 0 if reasoning is None else count(reasoning), total, hour)


def own_usage(record: Record) -> Usage | None:
    """The partition of OpenAI's own record without audio, if its counts agree; None for any other one.

    The same numbers as `usage` at a third of the time, for the record that most calls have.
    """
    if len(record) != 5:
        return None
    try:
        given, made, total = record["prompt_tokens"], record["completion_tokens"], record["total_tokens"]
        inner, outer = record["prompt_tokens_details"], record["completion_tokens_details"]
    except KeyError:
        return None
    if not (type(given) is type(made) is type(total) is int and given + made == total <= MAX_TOKENS):
        return None
    if inner is None or outer is None:
        return None
    if type(inner) is not dict:
        inner = view(inner)
    if type(outer) is not dict:
        outer = view(outer)
    if not (_GIVEN_PLAIN.issuperset(inner) and _MADE.issuperset(outer)):
        return None
    if inner.get("audio_tokens") or outer.get("audio_tokens"):
        return None
    cached, write, thought = inner.get("cached_tokens"), inner.get("cache_write_tokens"), outer.get("reasoning_tokens")
    cached = 0 if cached is None else cached
    write = 0 if write is None else write
    thought = 0 if thought is None else thought
    if not (type(cached) is type(write) is type(thought) is int and cached >= 0 <= write and 0 <= thought <= made):
        return None
    fresh = given - cached - write
    if fresh < 0 or not total:
        return None
    return unchecked((fresh, cached, write, made - thought, thought, 0, False))


def _beside(record: Record) -> Usage | Missing:
    """The partition of a record whose completion and total leave out the reasoning."""
    thought = view(record.get("completion_tokens_details")).get("reasoning_tokens")
    return usage({**record, "total_tokens": count(record.get("total_tokens")) + count(thought)})


def _reader(record: Any, model: Any) -> ReadRecord:
    """The reader for the record of a response of `model`."""
    own = isinstance(model, str) and model.startswith("google/") and "market_cost" in view(record)
    return _beside if own else usage


def response(fields: Fields, provider: str | None) -> Reading:
    """A completion, an embedding, a run."""
    get = fields.get
    record = get("usage")
    found = None if record is None else own_usage(record if type(record) is dict else view(record))
    if found is not None:
        model, identity, paid = get("model"), get("id"), get("service_tier")
        return quick_reading(
            Reading,
            (
                found,
                model if type(model) is str and 0 < len(model) <= TEXT_LIMIT else text(model),
                identity if type(identity) is str and 0 < len(identity) <= TEXT_LIMIT else text(identity),
                reasons(get("choices")),
                provider,
                None if paid is None else tier(paid),
                None,
                (),
            ),
        )
    if record is None and "x_groq" in fields:
        record = view(get("x_groq")).get("usage")
    return quick_reading(
        Reading,
        (
            usage_of(_reader(record, get("model")), record),
            text(get("model")),
            text(get("id")),
            reasons(get("choices")),
            provider,
            tier(get("service_tier")),
            None if record is None else billing.of_chat(record),
            (),
        ),
    )


def step(answers: Answers, fields: Fields, provider: str | None = None) -> None:
    """Take a chunk that has more than a piece of text."""
    choices = fields.get("choices")
    if answers.ended:
        identity = fields.get("id")
        if not answers.known or (choices and _other(answers, identity)):
            answers.begin(fields.get("model"), identity, provider)
        elif answers.model is None or answers.id is None:  # Azure begins with a chunk about the prompt
            answers.model, answers.id = answers.model or text(fields.get("model")), answers.id or text(identity)
        answers.ended = answers.settled or bool(answers.reasons)
    record = fields.get("usage")
    if choices:
        last = choices[0]
        # LiteLLM's choices declare no fields, so their __dict__ is empty.
        inner = last if type(last) is dict else last.__dict__ or view(last)
        if inner.get("finish_reason") is not None or len(choices) > 1:
            found = reasons(choices)
            if found:
                answers.reasons += found
                answers.ended = True
                # A gateway's first chunk may have another id than those of its provider that follow.
                answers.id = text(fields.get("id")) or answers.id
            if bedrock.METRICS in fields:
                bedrock.metrics(answers, fields)
        if record is None:
            record = inner.get("usage")
    if record is None:
        record = fields.get("x_groq")
        if record is not None:
            record = view(record).get("usage")
    if record is not None:
        # Some servers repeat a growing count on every chunk; it is final once there is nothing left to say.
        read = _reader(record, fields.get("model"))
        answers.take(record, read, not choices or answers.ended, billing.of_chat)
        answers.ended = answers.ended or not choices
        answers.tier = answers.tier or tier(fields.get("service_tier"))


def _other(answers: Answers, identity: Any) -> bool:
    """Whether a chunk with choices that follows an ended answer belongs to another answer."""
    if identity and answers.id:
        return bool(identity != answers.id)
    return answers.settled and answers.record is not None and not identity and not answers.id


def openai_chunk(answers: Answers, chunk: Any) -> None:
    """A chunk of OpenAI's own class; most have only a piece of text and are skipped quickly."""
    fields = chunk.__dict__
    try:
        (choice,) = fields["choices"]
        if fields["usage"] is None and choice.__dict__["finish_reason"] is None and not answers.ended:
            return
    except (KeyError, TypeError, ValueError):  # something is missing, or there is not one choice
        pass
    step(answers, fields, "openai")


def openai_event(answers: Answers, event: Any) -> None:
    """An event of OpenAI's stream helper, which wraps a chunk."""
    step(answers, view(event.chunk), "openai")


def mistral_event(answers: Answers, event: Any) -> None:
    """Mistral's events: a wrapped chunk, or the end of a conversation's answer."""
    data = view(event.data)
    if "choices" in data:
        step(answers, data, "mistral_ai")
    elif data.get("usage") is not None:
        answers.known, answers.provider = True, "mistral_ai"
        answers.take(data.get("usage"), usage, True, billing.of_chat)
