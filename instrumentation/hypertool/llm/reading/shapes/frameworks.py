"""Frameworks' own usage records (pydantic-ai, openai-agents, CrewAI, AutoGen), and Hypertool's.

| source | rule |
|---|---|
| pydantic-ai (https://ai.pydantic.dev/api/usage/) | input includes the cache, output `details.reasoning_tokens` |
| genai-prices (https://github.com/pydantic/genai-prices) | pydantic-ai's names, with `output_reasoning_tokens` |
| others with `cache_read_tokens` (Agno), Strands | only the total can show whether the input includes the cache |
| Inspect (https://inspect.aisi.org.uk) | the input excludes the cache; in old logs the total shows that it does not |
| CrewAI (https://docs.crewai.com/concepts/crews#crew-usage-metrics) | the prompt includes `cached_prompt_tokens` |
| Hypertool, and Langfuse's first API | disjoint parts |

openai-agents uses OpenAI's names; `openai_responses` reads its records.
"""

from __future__ import annotations

from typing import Any

from ..counts import Record, Unread, both, count, known, names, partition, settle
from ..usage import Missing, Usage
from ..view import view

_PYDANTIC_AI = names(
    """
    input_tokens output_tokens total_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens
    input_audio_tokens cache_audio_read_tokens output_audio_tokens output_reasoning_tokens details requests tool_calls
    """
)
_CACHED_APART = names(
    """
    input_tokens output_tokens total_tokens cache_read_tokens cache_write_tokens reasoning_tokens
    """
)
_INSPECT = names(
    """
    input_tokens output_tokens total_tokens input_tokens_cache_read input_tokens_cache_write reasoning_tokens total_cost
    """
)
LANGFUSE = frozenset({"input", "output", "input_cached_tokens", "input_cache_creation", "output_reasoning_tokens"})


def pydantic_ai(record: Record) -> Usage | Missing:
    """RequestUsage and RunUsage; `details` repeats the provider's own names."""
    get = record.get
    known(record, _PYDANTIC_AI)
    given, made = count(get("input_tokens")), count(get("output_tokens"))
    hour = count(get("cache_write_1h_tokens"))
    details = view(get("details"))
    reasoning = count(
        get("output_reasoning_tokens") or details.get("reasoning_tokens") or details.get("thoughts_tokens")
    )
    total = 0
    if reasoning > made:
        total = given + made + reasoning  # not in the output, as with xAI
    return settle(
        given, made, count(get("cache_read_tokens")), count(get("cache_write_tokens")), reasoning, total, hour
    )


def strands(record: Any) -> dict[str, Any]:
    """The usage of a Strands agent as that of a response of Bedrock, whose names it has; empty if it cannot be told.

    Its models of OpenAI and LiteLLM include the cache in the input, those of Bedrock do not, whatever their total says.
    A cache above the input is one beside it.
    """
    fields = view(record)
    cached = count(fields.get("cacheReadInputTokens")) + count(fields.get("cacheWriteInputTokens"))
    given, made, total = (count(fields.get(name)) for name in ("inputTokens", "outputTokens", "totalTokens"))
    sure = not cached or cached > given or total != given + made
    return {"usage": fields} if sure else {}


def inspect_ai(record: Record) -> Usage | Missing:
    """Inspect's ModelUsage."""
    known(record, _INSPECT)
    total, given, made, cached, write = _counts(record, "input_tokens_cache_read", "input_tokens_cache_write")
    if total != given + made:
        given, total = given + cached + write, 0
    return settle(given, made, cached, write, count(record.get("reasoning_tokens")), total)


def cached_apart(record: Record) -> Usage | Missing:
    """A record with `cache_read_tokens` from an undocumented framework: only its total can show what is included."""
    known(record, _CACHED_APART)
    total, given, made, cached, write = _counts(record, "cache_read_tokens", "cache_write_tokens")
    if (cached or write) and (not total or total == given + made):
        raise Unread("cache_read_tokens")
    return settle(given, made, cached, write, count(record.get("reasoning_tokens")), total)


def _counts(record: Record, read: str, written: str) -> tuple[int, int, int, int, int]:
    """Total, input, output and the cache's two counts, which have these names."""
    total = count(record.get("total_tokens"))
    given, made = both(record, "input_tokens", "output_tokens", total)
    return total, given, made, count(record.get(read)), count(record.get(written))


def langfuse(record: Record) -> Usage | Missing:
    """`Usage.usage_details()`, and the {input, output} of Langfuse's first API."""
    get = record.get
    return partition(
        count(get("input")),
        count(get("input_cached_tokens")),
        count(get("input_cache_creation")),
        count(get("output")),
        count(get("output_reasoning_tokens")),
    )
