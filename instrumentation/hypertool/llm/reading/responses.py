"""The shape of each provider's response: its fields as a `Reading`; and how to tell a dict's shape by its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from . import usage_records as records
from .providers import provider_name
from .usage import NO_USAGE, UNRECOGNISED, Missing, Reading, Usage
from .usage_records import usage_of
from .view import view

Fields = Mapping[str, Any]
Shape = Callable[[Fields, "str | None"], Reading]

_STANDARD = {"", "auto", "default", "standard", "on_demand"}
_TEXT_LIMIT = 200

# Half the price of Reading(...); for the shapes that are read most.
_reading = tuple.__new__


def text(value: Any) -> str | None:
    """A short string as it is, an enum by its value, and nothing else."""
    if type(value) is str:
        return value[:_TEXT_LIMIT] or None
    if isinstance(value, Enum):
        return str(value.value)[:_TEXT_LIMIT]
    return str(value)[:_TEXT_LIMIT] if isinstance(value, str) else None


def tier(value: Any) -> str | None:
    """A price class, None for the standard one."""
    if value is None or (type(value) is str and value in _STANDARD):
        return None
    name = (text(value) or "").lower().removeprefix("on_demand_")
    return None if name in _STANDARD else name


def reasons(items: Any, key: str = "finish_reason") -> tuple[str, ...]:
    """The finish reasons of choices or candidates that have one."""
    if type(items) is not list and not isinstance(items, (list, tuple)):
        return ()
    if len(items) == 1:
        found = view(items[0]).get(key)
        if found is None:
            return ()
        found = text(found)
        return (found,) if found else ()
    return tuple(found for item in items if (found := text(view(item).get(key))))


def chat(fields: Fields, provider: str | None) -> Reading:
    """OpenAI chat and text completions, embeddings; Mistral, LiteLLM and every server that speaks it."""
    get = fields.get
    return _reading(
        Reading,
        (
            usage_of(records.chat, get("usage")),
            text(get("model")),
            text(get("id")),
            reasons(get("choices")),
            provider,
            tier(get("service_tier")),
        ),
    )


def responses(fields: Fields, provider: str | None) -> Reading:
    """OpenAI responses; the reason to finish is its status, or why it is incomplete."""
    get = fields.get
    why = view(get("incomplete_details")).get("reason") or get("status")
    reason = text(why)
    return _reading(
        Reading,
        (
            usage_of(records.responses, get("usage")),
            text(get("model")),
            text(get("id")),
            (reason,) if reason else (),
            provider,
            tier(get("service_tier")),
        ),
    )


def anthropic(fields: Fields, provider: str | None) -> Reading:
    """Anthropic messages."""
    get = fields.get
    usage = get("usage")
    stop = text(get("stop_reason"))
    return _reading(
        Reading,
        (
            usage_of(records.anthropic, usage),
            text(get("model")),
            text(get("id")),
            (stop,) if stop else (),
            provider,
            anthropic_tier(usage),
        ),
    )


def anthropic_tier(usage: Any) -> str | None:
    """Where Anthropic's record says how the call is billed: tier, speed, or several models at once."""
    fields = view(usage)
    steps = fields.get("iterations")
    if steps is not None and any(view(step).get("type") in ("advisor_message", "fallback_message") for step in steps):
        return "mixed"
    return tier(fields.get("service_tier")) or tier(fields.get("speed"))


def gemini(fields: Fields, provider: str | None) -> Reading:
    """google-genai `generate_content`, and the JSON of the REST API."""
    get = fields.get
    record = get("usage_metadata")
    if record is None:
        record = get("usageMetadata")
    inner = view(record)
    traffic = inner.get("traffic_type") or inner.get("trafficType")
    return _reading(
        Reading,
        (
            usage_of(records.gemini, record),
            text(get("model_version") or get("modelVersion")),
            text(get("response_id") or get("responseId")),
            reasons(get("candidates"), "finishReason" if "usageMetadata" in fields else "finish_reason"),
            # Only Vertex AI says what kind of traffic it was.
            "gcp.vertex_ai" if traffic else provider or "gcp.gen_ai",
            tier(traffic),
        ),
    )


def converse(fields: Fields, provider: str | None) -> Reading:
    """Bedrock converse: a dict without the model's name."""
    get = fields.get
    stop = text(get("stopReason"))
    extra = view(view(get("additionalModelResponseFields")).get("usage")).get("output_tokens_details")
    found = usage = usage_of(records.converse, get("usage"))
    if extra is not None and isinstance(found, Usage):
        whole = found
        usage = usage_of(lambda details: _split(whole, details), extra)
    return Reading(
        usage,
        None,
        _request_id(fields),
        (stop,) if stop else (),
        provider or "aws.bedrock",
        tier(view(get("serviceTier")).get("type")),
    )


def _split(usage: Usage, details: Fields) -> Usage:
    thought = records.count(details.get("thinking_tokens"))
    if thought > usage.output:
        raise records.BadCount("more thinking than output")
    return usage._replace(output=usage.output - thought, reasoning=thought)


def invoke(fields: Fields, provider: str | None) -> Reading:
    """Bedrock invoke_model as botocore returns it: the body is the caller's to read, but its headers count."""
    headers = view(view(fields.get("ResponseMetadata")).get("HTTPHeaders"))
    numbers = {
        f"{kind}TokenCount": headers.get(f"x-amzn-bedrock-{name}-token-count")
        for kind, name in (
            ("input", "input"),
            ("output", "output"),
            ("cacheReadInput", "cache-read-input"),
            ("cacheWriteInput", "cache-write-input"),
        )
    }
    counts = {
        key: int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        for key, value in numbers.items()
        if value is not None
    }
    usage = usage_of(records.converse, counts) if counts else NO_USAGE
    return Reading(usage, None, _request_id(fields), (), provider or "aws.bedrock", tier(fields.get("serviceTier")))


def _request_id(fields: Fields) -> str | None:
    return text(view(fields.get("ResponseMetadata")).get("RequestId"))


def langchain(fields: Fields, provider: str | None) -> Reading:
    """A LangChain AIMessage: `usage_metadata`, else what the integration left in `response_metadata`."""
    get = fields.get
    about = view(get("response_metadata"))
    record = get("usage_metadata")
    if record is not None:
        usage = usage_of(records.langchain, record)
    else:
        raw = about.get("token_usage") or about.get("usage") or about.get("usage_metadata")
        read = records.reader_of(view(raw))
        usage = usage_of(read or records.chat, raw)
    stop = text(about.get("finish_reason") or about.get("stop_reason") or about.get("stopReason"))
    named = provider_name(about.get("model_provider") or about.get("ls_provider"))
    return _reading(
        Reading,
        (
            usage,
            text(about.get("model_name") or about.get("model") or about.get("model_id")),
            text(about.get("id") or get("id")),
            (stop,) if stop else (),
            named or provider,
            tier(about.get("service_tier")),
        ),
    )


def generations(fields: Fields, provider: str | None) -> Reading:
    """LangChain's LLMResult and ChatResult: one call per prompt, of which every choice repeats the usage."""
    rows: Iterable[Any] = fields.get("generations") or ()
    firsts = [row[0] if isinstance(row, list) and row else row for row in rows]
    readings = [langchain(view(view(first).get("message")), provider) for first in firsts]
    if rows and not isinstance(rows[0], list):  # type: ignore[index]
        readings = readings[:1]
    found = [reading.usage for reading in readings if isinstance(reading.usage, Usage)]
    said = view(fields.get("llm_output"))
    usage: Usage | Missing = NO_USAGE
    if found and len(found) == len(readings):
        usage = sum(found[1:], found[0])
    elif said:
        raw = said.get("token_usage") or said.get("usage")
        usage = usage_of(records.reader_of(view(raw)) or records.chat, raw)
    elif readings:
        usage = next((r.usage for r in readings if not isinstance(r.usage, Usage)), NO_USAGE)
    first = readings[0] if readings else Reading(NO_USAGE)
    return first._replace(usage=usage, model=first.model or text(said.get("model_name")))


def by_keys(fields: Fields, provider: str | None) -> Reading:
    """A plain dict, or an object of a class nobody knows: told by its names."""
    get = fields.get
    if "usage" in fields:
        return _by_record(fields, provider)
    if "usage_metadata" in fields or "response_metadata" in fields:
        inner = view(get("usage_metadata"))
        if "response_metadata" in fields or "input_tokens" in inner:
            return langchain(fields, provider)
        return gemini(fields, provider)
    if "usageMetadata" in fields or ("candidates" in fields and "modelVersion" in fields):
        return gemini(fields, provider)
    if "ResponseMetadata" in fields and ("body" in fields or "stream" in fields):
        return invoke(fields, provider)
    if "generations" in fields:
        return generations(fields, provider)
    if "raw" in fields and "parsed" in fields:  # LangChain's structured output with include_raw
        return langchain(view(get("raw")), provider)
    if "inputTextTokenCount" in fields or "generation_token_count" in fields:
        return _invoke_body(fields)
    if "choices" in fields or get("object") in ("response", "chat.completion"):
        return chat(fields, provider)
    read = records.reader_of(fields)
    if read is not None:
        return Reading(usage_of(read, fields), text(get("model")), None, (), provider)
    return Reading(UNRECOGNISED)


def _by_record(fields: Fields, provider: str | None) -> Reading:
    """A response that has `usage`: which one, its names and the names of its record say."""
    record = fields["usage"]
    if isinstance(record, Usage):  # whoever made the response worked it out, or had it estimated
        return Reading(record, text(fields.get("model")), text(fields.get("id")), (), provider)
    inner = view(record)
    if "prompt_tokens" in inner and "choices" in fields:  # as most
        return chat(fields, provider)
    kind = fields.get("type")
    if kind == "message" or "stop_reason" in fields:
        return anthropic(fields, provider or ("anthropic" if kind == "message" else None))
    if "stopReason" in fields or "inputTokens" in inner:
        return converse(fields, provider)
    if fields.get("object") == "response":
        return responses(fields, provider)
    read = records.reader_of(inner)
    if read is records.anthropic:
        return anthropic(fields, provider)
    if read is records.responses:
        return responses(fields, provider)
    if read is records.langchain or read is records.gemini:
        return chat(fields, provider)._replace(usage=usage_of(read, record))
    if read is None and inner and "choices" not in fields:
        return Reading(UNRECOGNISED)
    return chat(fields, provider)


def _invoke_body(fields: Fields) -> Reading:
    """Bodies of Bedrock's invoke_model with counts of their own: Titan, Llama."""
    if "generation_token_count" in fields:
        given, made = fields.get("prompt_token_count"), fields.get("generation_token_count")
        stop = text(fields.get("stop_reason"))
        stops: tuple[str, ...] = (stop,) if stop else ()
    else:
        results = [view(item) for item in fields.get("results") or ()]
        given, made = fields.get("inputTextTokenCount"), None
        if results and all(type(item.get("tokenCount")) is int for item in results):
            made = sum(item["tokenCount"] for item in results)
        stops = reasons(list(results), "completionReason")
    counts = {"inputTokenCount": given, "outputTokenCount": made}
    return Reading(usage_of(records.converse, counts), None, None, stops, "aws.bedrock")
