"""Shapes with few fields: Replicate, watsonx, Aleph Alpha, Yandex, Spark, and servers that report only a total.

* Replicate (https://replicate.com/docs/topics/predictions): `input_token_count` and `output_token_count` of `metrics`.
* watsonx (https://cloud.ibm.com/apidocs/watsonx-ai#text-generation): each result has both counts; in a stream the
  input count comes first, and the output count grows.
* Aleph Alpha (https://docs.aleph-alpha.com/api/complete/): `num_tokens_prompt_total`, `num_tokens_generated`.
* Yandex (https://yandex.cloud/en/docs/ai-studio/text-generation/api-ref/): counts as text, reasoning in the completion.
* iFlytek Spark (https://www.xfyun.cn/doc/spark/Web.html): OpenAI's names in `payload.usage.text` of the last message.
* Voyage, Jina: embeddings, rankings (https://docs.voyageai.com/reference/embeddings-api): `total_tokens` is input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import Answers
from ..counts import Record, both, count, known, names, partition, settle, usage_of
from ..fields import Fields, reading, reasons
from ..usage import NO_USAGE, Missing, Reading, Usage
from ..view import view
from . import openai_chat

_NONE: frozenset[str] = frozenset()


def _pair(given: str, made: str) -> Any:
    own = frozenset((given, made))

    def usage(record: Record) -> Usage | Missing:
        known(record, own)
        return partition((counts := both(record, given, made, 0))[0], 0, 0, counts[1], 0)

    return usage


replicate_usage = _pair("input_token_count", "output_token_count")
aleph_alpha_usage = _pair("num_tokens_prompt_total", "num_tokens_generated")


def yandex_usage(record: Record) -> Usage | Missing:
    """The partition of a record whose counts are digits."""
    known(record, names("inputTextTokens completionTokens totalTokens completionTokensDetails"))
    details = view(record.get("completionTokensDetails"))
    given, made, total = (_digits(record.get(f"{name}Tokens")) for name in ("inputText", "completion", "total"))
    return settle(given, made, 0, 0, _digits(details.get("reasoningTokens")), total)


def _digits(value: Any) -> int:
    return count(int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value)


def replicate(fields: Fields, provider: str | None) -> Reading:
    """A prediction; it has no usage if its model counts no tokens."""
    record = view(fields.get("metrics"))
    counts = {name: record.get(name) for name in ("input_token_count", "output_token_count")}
    status = fields.get("status")
    found = usage_of(replicate_usage, counts if any(v is not None for v in counts.values()) else {})
    return reading(
        found, fields.get("model"), fields.get("id"), (status,) if type(status) is str else (), provider, None
    )


def aleph_alpha(fields: Fields, provider: str | None) -> Reading:
    """A completion."""
    return reading(
        usage_of(aleph_alpha_usage, fields),
        fields.get("model_version"),
        fields.get("id"),
        reasons(fields.get("completions")),
        provider,
        None,
    )


def spark(fields: Fields, provider: str | None) -> Reading:
    """A message of iFlytek's own API; only the last one has usage."""
    payload, header = view(fields.get("payload")), view(fields.get("header"))
    record = view(view(payload.get("usage")).get("text"))
    return reading(
        usage_of(openai_chat.usage, record or None), None, header.get("sid"), (), provider or "iflytek.spark", None
    )


def spark_step(answers: Answers, fields: Fields) -> None:
    """A message of a stream; all have the id of their answer."""
    found = spark(fields, None)
    if found.id is None:
        return
    if answers.ended:
        answers.begin(None, found.id, found.provider)
        answers.needs_end = True
    usage = found.usage
    if isinstance(usage, Usage):
        answers.take(usage, lambda _: usage, True)
    answers.ended = view(fields.get("header")).get("status") == 2


def watsonx(fields: Fields, provider: str | None) -> Reading:
    """Generated text: one result for each input."""
    results = [view(one) for one in fields.get("results") or ()]
    given = sum(count(one.get("input_token_count")) for one in results)
    made = sum(count(one.get("generated_token_count")) for one in results)
    return reading(
        partition(given, 0, 0, made, 0),
        fields.get("model_id"),
        fields.get("id"),
        reasons(results, "stop_reason"),
        provider or "ibm.watsonx.ai",
        None,
    )


def watsonx_step(answers: Answers, fields: Fields) -> None:
    """A chunk: the input count comes once, the output count grows."""
    if answers.ended:
        answers.begin(fields.get("model_id"), fields.get("id"), "ibm.watsonx.ai")
    before = answers.record if isinstance(answers.record, Mapping) else {"given": 0, "made": 0}
    if not fields.get("results"):
        return
    last = view(fields["results"][-1])
    found = reasons([last], "stop_reason")
    done = bool(found) and found != ("not_finished",)
    answers.reasons += found if done else ()
    record = {
        "given": max(before["given"], count(last.get("input_token_count"))),
        "made": max(before["made"], count(last.get("generated_token_count"))),
    }
    answers.take(record, _so_far, done)
    answers.ended = done


def _so_far(record: Record) -> Usage | Missing:
    return partition(record["given"], 0, 0, record["made"], 0)


def total_only(record: Record) -> Usage | Missing:
    """A total that is all input: the call has no output."""
    known(record, _NONE)
    return partition(count(record.get("total_tokens")), 0, 0, 0, 0)


def vectors(fields: Fields, provider: str | None) -> Reading:
    """Embeddings or a ranking with a total, in `usage` or next to the result."""
    record = fields.get("usage")
    return reading(
        usage_of(total_only, fields if record is None else record),
        fields.get("model"),
        fields.get("id"),
        (),
        provider,
        None,
    )


NOTHING = Reading(NO_USAGE)


def embeddings(fields: Fields, provider: str | None) -> Reading:
    """Embeddings by an SDK of OpenAI's kind; Voyage's server has only a total."""
    record = view(fields.get("usage"))
    own = record.get("prompt_tokens") is not None or not record.get("total_tokens")
    return (openai_chat.response if own else vectors)(fields, provider)


def each_embedding(fields: Fields, provider: str | None) -> Reading:
    """GigaChat's embeddings: each has a record of its own."""
    records = [view(view(one).get("usage")) for one in fields["data"]]
    given = sum(count(record.get("prompt_tokens")) for record in records)
    return reading(partition(given, 0, 0, 0, 0), fields.get("model"), None, (), provider, None)


def nothing_used(fields: Fields, provider: str | None) -> Reading:
    """The result of `count_tokens`, or the size of cached contents: no call has used these tokens."""
    return NOTHING
