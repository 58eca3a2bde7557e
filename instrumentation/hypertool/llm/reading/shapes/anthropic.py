"""Anthropic messages: of its own API, Bedrock, Vertex and compatible servers.

Rule (https://docs.anthropic.com/en/api/messages#response-usage): `input_tokens` excludes the cache, which has its own
counts, `cache_read_input_tokens` and `cache_creation_input_tokens` (by age in `cache_creation`); `output_tokens`
includes the thinking. `iterations` lists the steps of one request; those of a compaction and of an adviser are billed,
but are in no other count (https://docs.anthropic.com/en/docs/build-with-claude/compaction).

Streams: `message_start` begins an answer, with its input; `message_delta` is cumulative and the last one counts. Some
gateways send 0 there for input counts that they do not repeat. If all input counts of a delta are 0, the earlier counts
stay; if one of them is above 0, the zeros are real. The output count of a delta is always real: a refusal's goes from
1 to 0. A managed agent's session has one event with the whole usage of each request to the model, which add up
(https://platform.claude.com/docs/en/managed-agents/observability).
"""

from __future__ import annotations

from typing import Any

from .. import billing
from ..answers import Answers
from ..counts import Record, both, count, known, names, partition, usage_of
from ..fields import Fields, quick_reading, text, tier
from ..usage import Missing, Reading, Usage
from ..view import view

_RECORD = names(
    """
    input_tokens output_tokens total_tokens cache_read_input_tokens cache_creation_input_tokens cache_creation
    output_tokens_details iterations server_tool_use service_tier inference_geo speed
    """
)
_AGES = names("ephemeral_1h_input_tokens ephemeral_5m_input_tokens")
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_UNCOUNTED = ("compaction", "advisor_message")
_OTHER_MODELS = ("advisor_message", "fallback_message")


def usage(record: Record) -> Usage | Missing:
    """The partition of a record whose input count excludes the cache."""
    get = record.get
    if not _RECORD.issuperset(record):
        known(record, _RECORD)
    given, made = both(record, "input_tokens", "output_tokens", count(get("total_tokens")))
    cached = get("cache_read_input_tokens")
    write = get("cache_creation_input_tokens")
    cached = 0 if cached is None else count(cached)
    write = 0 if write is None else count(write)
    reasoning = hour = 0
    ages = get("cache_creation")
    if ages is not None:
        inner = view(ages)
        if not _AGES.issuperset(inner):
            known(inner, _AGES)
        hour = count(inner.get("ephemeral_1h_input_tokens"))
        write = write or hour + count(inner.get("ephemeral_5m_input_tokens"))
    details = get("output_tokens_details")
    if details is not None:
        reasoning = count(view(details).get("thinking_tokens"))
    found = partition(given, cached, write, made - reasoning, reasoning, hour)
    steps = get("iterations")
    if not steps or not isinstance(found, Usage):
        return found
    for step in map(view, steps):
        if step.get("type") in _UNCOUNTED:
            more = usage({key: value for key, value in step.items() if key != "iterations"})
            found = found + more if isinstance(more, Usage) else found
    return found


def response(fields: Fields, provider: str | None) -> Reading:
    """A message."""
    get = fields.get
    record = get("usage")
    stop = text(get("stop_reason"))
    return quick_reading(
        Reading,
        (
            usage_of(usage, record),
            text(get("model")),
            text(get("id")),
            (stop,) if stop else (),
            provider,
            _tier(record),
            None if record is None else billing.of_anthropic(record),
            (),
        ),
    )


def _tier(record: Any) -> str | None:
    """How the call is billed according to the record: its tier, its speed, or "mixed" for several models."""
    fields = view(record)
    steps = fields.get("iterations")
    if steps is not None and any(view(step).get("type") in _OTHER_MODELS for step in steps):
        return "mixed"
    return tier(fields.get("service_tier")) or tier(fields.get("speed"))


def start(answers: Answers, event: Any) -> None:
    """`message_start`: another answer, with its input."""
    message = view(view(event).get("message"))
    identity = message.get("id")
    answers.begin(message.get("model"), identity, "anthropic")
    record = view(message.get("usage"))
    answers.tier = answers.tier or _tier(record)
    answers.needs_end = True
    stop = text(message.get("stop_reason"))  # an answer continued by a tool has its stop reason at the start
    answers.reasons += (stop,) if stop else ()
    said = {key: value for key, value in record.items() if value is not None}
    answers.take(said, usage, stop is not None, billing.of_anthropic)


def delta(answers: Answers, event: Any) -> None:
    """`message_delta`: the counts so far."""
    fields = view(event)
    stop = text(view(fields.get("delta")).get("stop_reason"))
    if stop:
        answers.reasons += (stop,)
    said = view(fields.get("usage")) or view(view(fields.get("delta")).get("usage"))  # inside, in the first API
    record = {key: value for key, value in said.items() if value is not None}
    so_far = dict(answers.record or {})
    if not any(record.get(name) for name in _INPUT):
        for name in _INPUT:
            if name in so_far:
                record.pop(name, None)
    elif record.get("cache_creation_input_tokens", so_far.get("cache_creation_input_tokens")) != so_far.get(
        "cache_creation_input_tokens"
    ):
        so_far.pop("cache_creation", None)  # its ages belong to the earlier count
    so_far.update(record)
    answers.known = answers.needs_end = True
    answers.provider = answers.provider or "anthropic"
    answers.tier = answers.tier or _tier(so_far)
    final = "output_tokens" in record
    answers.take(so_far, usage, final, billing.of_anthropic)
    answers.ended = answers.ended or final


def session_request(answers: Answers, event: Any) -> None:
    """The end of a request to the model in a managed agent's session."""
    fields = view(event)
    record = fields.get("model_usage")
    if record is not None:
        answers.begin(None, fields.get("id"), "anthropic")
        answers.tier = _tier(record)
        answers.take(record, usage, True, billing.of_anthropic)
        answers.ended = True
