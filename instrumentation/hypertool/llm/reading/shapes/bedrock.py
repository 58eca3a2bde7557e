"""Amazon Bedrock: converse, `invoke_model` (read from its headers), their streams, agents' traces.

Rule (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html): `inputTokens` excludes the
cache, which has its own counts; `outputTokens` includes the thinking. `totalTokens` includes the cache for some models
and not for others. A prompt stopped by a guardrail has no output, and floats instead of whole numbers.

Known limit: for OpenAI's gpt models, `converse_stream` also includes the cache write in `inputTokens`, and nothing in
the record shows this.

Streams: `metadata` at the end of a converse stream, `amazon-bedrock-invocationMetrics` in the last chunk of an invoke
stream. An agent's trace has one usage for each model call, and they add up.
"""

from __future__ import annotations

import json
from typing import Any

from ..answers import Answers
from ..counts import BadCount, Record, both, count, first, known, names, partition, usage_of
from ..fields import Fields, reasons, text, tier
from ..usage import NO_USAGE, Missing, Reading, Usage
from ..view import view

METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_BYTES = METRICS.encode()
_RECORD = names(
    """
    inputTokens outputTokens totalTokens inputTokenCount outputTokenCount cacheReadInputTokens
    cacheWriteInputTokens cacheReadInputTokenCount cacheWriteInputTokenCount cacheDetails
    """
)
_SILENT = ("contentBlockDelta", "messageStart", "contentBlockStart", "contentBlockStop")
_HEADERS = (
    ("inputTokenCount", "x-amzn-bedrock-input-token-count"),
    ("outputTokenCount", "x-amzn-bedrock-output-token-count"),
    ("cacheReadInputTokenCount", "x-amzn-bedrock-cache-read-input-token-count"),
    ("cacheWriteInputTokenCount", "x-amzn-bedrock-cache-write-input-token-count"),
)


def usage(record: Record) -> Usage | Missing:
    """The partition of converse's usage (`inputTokens`), and of an invocation's metrics (`inputTokenCount`)."""
    get = record.get
    if not _RECORD.issuperset(record):
        known(record, _RECORD)
    suffix = "Count" if "inputTokenCount" in record else "s"
    given_name, made_name = f"inputToken{suffix}", f"outputToken{suffix}"
    total = count(get("totalTokens"))
    if get(made_name) is None and get(given_name) is not None and not total:
        given, made = count(get(given_name)), 0  # an embedding, or a guardrail before the model
    else:
        given, made = both(record, given_name, made_name, total)
    cached = count(first(record, "cacheReadInputTokens", "cacheReadInputTokenCount"))
    write = count(first(record, "cacheWriteInputTokens", "cacheWriteInputTokenCount"))
    if total > given + made + cached + write:
        raise BadCount("a total above its parts")
    hour = 0
    for detail in get("cacheDetails") or ():
        inner = view(detail)
        if inner.get("ttl") == "1h":
            hour += count(inner.get("inputTokens"))
    return partition(given, cached, write, made, 0, hour)


def converse(fields: Fields, provider: str | None) -> Reading:
    """A converse response: a dict without the model's name."""
    get = fields.get
    stop = text(get("stopReason"))
    extra = view(view(get("additionalModelResponseFields")).get("usage")).get("output_tokens_details")
    found = whole = usage_of(usage, get("usage"))
    if extra is not None and isinstance(whole, Usage):
        before = whole
        found = usage_of(lambda details: _split(before, details), extra)
    return Reading(
        found,
        None,
        request_id(fields),
        (stop,) if stop else (),
        provider or "aws.bedrock",
        tier(view(get("serviceTier")).get("type")),
    )


def _split(whole: Usage, details: Fields) -> Usage:
    thought = count(details.get("thinking_tokens"))
    if thought > whole.output:
        raise BadCount("more thinking than output")
    return whole._replace(output=whole.output - thought, reasoning=thought)


def invoke(fields: Fields, provider: str | None) -> Reading:
    """`invoke_model` as botocore returns it: the counts come from the headers, the body is left to the caller."""
    headers = view(view(fields.get("ResponseMetadata")).get("HTTPHeaders"))
    counts: dict[str, Any] = {}
    for name, header in _HEADERS:
        value = headers.get(header)
        if value is not None:
            counts[name] = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    found = usage_of(usage, counts) if counts else NO_USAGE
    return Reading(found, None, request_id(fields), (), provider or "aws.bedrock", tier(fields.get("serviceTier")))


def request_id(fields: Fields) -> str | None:
    """The id of an AWS request."""
    return text(view(fields.get("ResponseMetadata")).get("RequestId"))


def titan(fields: Fields, provider: str | None) -> Reading:
    """A body of Amazon Titan: text, the last chunk of a stream of it, or an embedding."""
    results = [view(item) for item in fields.get("results") or ()]
    made = fields.get("totalOutputTextTokenCount")
    if made is None and results and all(item.get("tokenCount") is not None for item in results):
        made = sum(count(item["tokenCount"]) for item in results)
    if made is None and ("embedding" in fields or "embeddingsByType" in fields):
        made = 0
    counts = {"prompt_token_count": fields.get("inputTextTokenCount"), "generation_token_count": made}
    return Reading(usage_of(_pair, counts), None, None, reasons(results, "completionReason"), "aws.bedrock")


def llama(fields: Fields, provider: str | None) -> Reading:
    """A body of Meta's Llama."""
    stop = text(fields.get("stop_reason"))
    return Reading(usage_of(_pair, fields), None, None, (stop,) if stop else (), "aws.bedrock")


def _pair(record: Record) -> Usage | Missing:
    given, made = both(record, "prompt_token_count", "generation_token_count", 0)
    return partition(given, 0, 0, made, 0)


def step(answers: Answers, event: Fields) -> bool:
    """Take an event of a converse stream; False if it is not one."""
    if "metadata" in event:
        about = view(event["metadata"])
        if "usage" not in about:
            return False
        answers.take(about["usage"], usage, True)
        answers.tier = tier(view(about.get("serviceTier")).get("type"))
        answers.ended = True
    elif "messageStop" in event:
        stop = text(view(event["messageStop"]).get("stopReason"))
        answers.reasons += (stop,) if stop else ()
    elif not any(name in event for name in _SILENT):
        return False
    elif answers.settled and "messageStart" in event:
        answers.begin(None, None, "aws.bedrock")
    answers.known, answers.provider = True, "aws.bedrock"
    return True


def chunk(answers: Answers, fields: Fields) -> None:
    """A chunk of an invoke stream: the bytes of the model's own event; the last event has the metrics."""
    data = view(fields["chunk"]).get("bytes")
    answers.known, answers.provider = True, "aws.bedrock"
    if isinstance(data, (bytes, bytearray)) and _METRICS_BYTES in data:
        answers.take(view(json.loads(data)).get(METRICS), usage, True)


def metrics(answers: Answers, fields: Fields) -> None:
    """The last chunk of an invoke stream, decoded: the model's own event with the metrics."""
    answers.known, answers.provider = True, "aws.bedrock"
    answers.take(fields[METRICS], usage, True)


def trace(answers: Answers, fields: Fields) -> None:
    """A trace event of `invoke_agent`: the usage of one model call, if it has one."""
    answers.known, answers.provider = True, "aws.bedrock"
    for part in view(view(fields["trace"]).get("trace")).values():
        for name, output in view(part).items():
            record = view(view(output).get("metadata")).get("usage") if name.endswith("InvocationOutput") else None
            if record:
                answers.begin(None, view(output).get("traceId"), "aws.bedrock")
                answers.take(record, usage, True)
