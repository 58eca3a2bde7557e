"""Reads an LLM call from another instrumentation's span: usage, model, duration, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .reading.usage import Missing, Usage

Attributes = Mapping[str, Any]

# gen_ai.operation.name (OpenTelemetry), llm.request.type (OpenLLMetry), openinference.span.kind.
_CALLS = frozenset({"chat", "text_completion", "completion", "generate_content", "generate", "embeddings", "embedding"})
_OPENINFERENCE = frozenset({"LLM", "EMBEDDING"})
# The names that instrumentations use for each part; the first one present counts.
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_TOTAL = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
_FIRST_CHUNK = ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")


class ForeignCall(NamedTuple):
    """One LLM call as its span describes it. `usage` is None if the span reports none."""

    agent: Any
    model: str
    response_model: str | None
    usage: Usage | Missing | None
    seconds: float
    outcome: str
    first_chunk: float | None
    response_id: Any


def describe(span: Any, attributes: Attributes) -> ForeignCall | None:
    """The LLM call that a finished span (`ReadableSpan`) describes; None if it is no call and reports no usage."""
    usage = read(attributes)
    if usage is None and not _is_call(attributes):
        return None
    named = attributes.get("gen_ai.request.model") or attributes.get("llm.model_name")
    answered = attributes.get("gen_ai.response.model")
    model = next((m for m in (named, answered) if isinstance(m, str) and m), "unknown")
    return ForeignCall(
        attributes.get("gen_ai.agent.name"),
        model,
        answered if isinstance(answered, str) else None,
        usage,
        max(0.0, ((span.end_time or 0) - (span.start_time or 0)) / 1e9),
        _outcome(span, attributes),
        next((float(attributes[k]) for k in _FIRST_CHUNK if isinstance(attributes.get(k), (int, float))), None),
        attributes.get("gen_ai.response.id"),
    )


def _is_call(attributes: Attributes) -> bool:
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    return operation in _CALLS or attributes.get("openinference.span.kind") in _OPENINFERENCE


def _outcome(span: Any, attributes: Attributes) -> str:
    if "cancelled" in str(attributes.get("error.type", "")).lower():
        return "cancelled"
    failed = getattr(span.status.status_code, "name", "") == "ERROR" or "error.type" in attributes
    return "error" if failed else "success"


def read(attributes: Attributes) -> Usage | Missing | None:
    """The usage in a span's attributes, or None if there is none."""
    parts = [_first(attributes, names) for names in (_INPUT, _CACHE_READ, _CACHE_WRITE, _OUTPUT, _REASONING)]
    if parts[0] is None and parts[3] is None:
        return None
    try:
        given, cached, write, made, reasoning = (_count(part) for part in parts)
        total = _count(_first(attributes, _TOTAL))
        # By convention the input includes the cache; some instrumentations pass on Anthropic's counts, which do not.
        if cached + write > given or (total and total == given + cached + write + made and cached + write):
            given += cached + write
        if reasoning > made or (total and total == given + made + reasoning and reasoning):
            made += reasoning
        if not (given or made):
            return Missing("no_usage")
        return Usage(given - cached - write, cached, write, made - reasoning, reasoning)
    except (TypeError, ValueError):
        return Missing("invalid")


def _first(attributes: Attributes, names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _count(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value < 0:
        raise ValueError(value)
    return int(value)
