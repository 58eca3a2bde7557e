"""Cohere v1 (`meta`) and v2 (`usage`): chat, embeddings, reranking.

Rule (https://docs.cohere.com/reference/chat): `tokens` counts what the model read and wrote; its input includes
`cached_tokens`. `billed_units` excludes what Cohere adds to a prompt; embeddings have only these, with `image_tokens`
in addition to `input_tokens`. Search units and classifications are not tokens.

Streams: the last event has the whole usage (`message-end` of v2, `stream-end` of v1).
"""

from __future__ import annotations

from ..answers import Answers
from ..counts import BadCount, Record, count, known, names, partition, usage_of
from ..fields import Fields, reading, text
from ..usage import NO_USAGE, Missing, Reading, Usage
from ..view import view

_RECORD = names("tokens billed_units cached_tokens api_version warnings")


def usage(record: Record) -> Usage | Missing:
    """The partition of `usage` or `meta`."""
    if not _RECORD.issuperset(record):
        known(record, _RECORD)
    counts = view(record.get("tokens"))
    if counts.get("input_tokens") is None and counts.get("output_tokens") is None:
        counts = view(record.get("billed_units"))
    given = count(counts.get("input_tokens")) + count(counts.get("image_tokens"))
    cached = count(record.get("cached_tokens"))
    if cached > given:
        raise BadCount("more cache than input")
    return partition(given - cached, cached, 0, count(counts.get("output_tokens")), 0)


def response(fields: Fields, provider: str | None) -> Reading:
    """A chat answer, embeddings or a ranking."""
    get = fields.get
    record = get("usage")
    if record is None:
        record = get("meta")
    stop = text(get("finish_reason"))
    return reading(
        usage_of(usage, record) if record is not None else NO_USAGE,
        get("model"),
        get("id") or get("response_id") or get("generation_id"),
        (stop,) if stop else (),
        provider or "cohere",
        None,
    )


def end(answers: Answers, event: Fields) -> None:
    """`message-end` of v2, `stream-end` of v1."""
    whole = view(event.get("response")) or view(event.get("delta"))
    found = response(whole, "cohere")
    answers.known, answers.provider = True, "cohere"
    answers.id = found.id or answers.id
    answers.reasons += found.finish_reasons
    record = whole.get("usage")
    answers.take(record if record is not None else whole.get("meta"), usage, True)
    answers.ended = True


def start(answers: Answers, event: Fields) -> None:
    """`message-start` of v2, `stream-start` of v1."""
    answers.begin(None, event.get("id") or event.get("generation_id"), "cohere")
    answers.needs_end = True
