"""LangChain's own usage record, and how the records of chunks add up.

Rule (https://python.langchain.com/api_reference/core/messages/langchain_core.messages.ai.UsageMetadata.html): the
input includes the cache, the output the reasoning; details may be incomplete, and langchain-openai prefixes their names
with the service tier. Integrations for xAI and Gemini count reasoning only in the total.

Streams: each chunk has its own part, and the parts add up; an integration may correct itself with a negative part.
Integrations that repeat a growing count (Perplexity's) are recognised by their repeated input count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..counts import BadCount, Record, both, count, known, names, settle
from ..usage import Missing, Usage
from ..view import view

_RECORD = names("input_tokens output_tokens total_tokens input_token_details output_token_details")
_GIVEN = names(
    """
    cache_read cache_creation audio text image ephemeral_1h_input_tokens ephemeral_5m_input_tokens priority flex
    default
    """
)
_MADE = names("reasoning audio text image priority flex default")
_TIERS = ("priority_", "flex_", "default_")


def usage(record: Record) -> Usage | Missing:
    """The partition of `usage_metadata`."""
    get = record.get
    if len(record) > 3 and not _RECORD.issuperset(record):
        known(record, _RECORD)
    total = count(get("total_tokens"))
    given, made = both(record, "input_tokens", "output_tokens", total)
    cached = write = reasoning = hour = 0
    details = get("input_token_details")
    if details is not None:
        inner = view(details)
        if not _GIVEN.issuperset(inner):
            inner = _without_tier(inner, _GIVEN)
        cached, hour = count(inner.get("cache_read")), count(inner.get("ephemeral_1h_input_tokens"))
        # langchain-anthropic moves the count to the two ages and leaves 0 behind.
        write = max(count(inner.get("cache_creation")), hour + count(inner.get("ephemeral_5m_input_tokens")))
    details = get("output_token_details")
    if details is not None:
        inner = view(details)
        if not _MADE.issuperset(inner):
            inner = _without_tier(inner, _MADE)
        reasoning = count(inner.get("reasoning"))
    return settle(given, made, cached, write, reasoning, total, hour)


def _without_tier(details: Record, names: frozenset[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in details.items():
        for prefix in _TIERS:
            name = name.removeprefix(prefix)
        found[name] = count(found.get(name)) + count(value) if name in names else value
    known(found, names)
    return found


def grown(before: Any, record: Record) -> dict[str, Any]:
    """The record of a message so far, with one more chunk added."""
    if not before:
        _part(record)
        return dict(record)
    given, made, total = (record.get(name) for name in ("input_tokens", "output_tokens", "total_tokens"))
    if (
        type(given) is int
        and type(made) is int
        and given == before.get("input_tokens")
        and given > 0
        and made >= before.get("output_tokens", 0)
        and total is not None
        and total >= before.get("total_tokens", 0)
    ):
        return dict(record)
    return added(before, record)


def _part(record: Record) -> None:
    """Raises BadCount for a chunk with a negative count that its own total does not confirm."""
    given, made = record.get("input_tokens"), record.get("output_tokens")
    below = any(type(value) is int and value < 0 for value in (given, made))
    if below and record.get("total_tokens") != (given or 0) + (made or 0):
        raise BadCount("a count below 0")


def added(left: Record, right: Record) -> dict[str, Any]:
    """The sum of two usage records, details included, as LangChain adds two chunks."""
    _part(right)
    return _added(left, right)


def _added(left: Record, right: Record) -> dict[str, Any]:
    result = dict(left)
    for key, value in right.items():
        before = result.get(key)
        if isinstance(value, Mapping):
            result[key] = _added(before if isinstance(before, Mapping) else {}, value)
        elif type(value) is int and (before is None or type(before) is int):
            result[key] = (before or 0) + value
        elif value is not None:
            result[key] = count(before) + count(value)
    return result
