"""The usage record of each provider, as the disjoint partition.

Who includes what in what (the reason why this is not one function of names):

| record | input count has the cache in it | output count has the reasoning in it |
|---|---|---|
| OpenAI chat and responses, Mistral, LiteLLM | yes | yes (xAI: no; the total tells) |
| Anthropic, Bedrock | no | yes |
| Gemini | yes; tool results are counted apart | no (some Vertex models: yes; the total tells) |
| LangChain `usage_metadata` | yes | yes |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .usage import INVALID, MAX_TOKENS, NO_USAGE, UNRECOGNISED, Missing, Usage, unchecked
from .view import view

Record = Mapping[str, Any]


class BadCount(ValueError):
    """A count that is no count, or a record that contradicts itself."""


def count(value: Any) -> int:
    """`value` as a number of tokens; an absent one is 0."""
    if type(value) is int:
        if 0 <= value <= MAX_TOKENS:
            return value
        raise BadCount(value)
    if value is None or type(value).__name__ in ("Unset", "NotGiven"):
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        return count(int(value))
    raise BadCount(value)


def usage_of(read: Callable[[Record], Usage | Missing], record: Any) -> Usage | Missing:
    """What `read` makes of `record`; an absent record is `no_usage`, a broken one `invalid`."""
    if record is None:
        return NO_USAGE
    fields = view(record)
    if not fields:
        return NO_USAGE if type(record) is dict else INVALID
    try:
        return read(fields)
    except BadCount:
        return INVALID


def _partition(fresh: int, cached: int, write: int, output: int, reasoning: int, hour: int = 0) -> Usage | Missing:
    if fresh < 0 or output < 0 or hour > write:
        raise BadCount("parts larger than the whole")
    if not (fresh or cached or write or output or reasoning):
        # No call uses nothing: servers and SDK defaults that do not count say 0.
        return NO_USAGE
    return unchecked((fresh, cached, write, output, reasoning, hour, False))


def _both(record: Record, first: str, second: str, total: int) -> tuple[int, int]:
    """Input and output count. One that is absent is what the total has left; without a total it is not known."""
    given, made = record.get(first), record.get(second)
    if type(given) is int and type(made) is int and 0 <= given <= MAX_TOKENS and 0 <= made <= MAX_TOKENS:
        return given, made  # as nearly always
    if given is not None and made is not None:
        return count(given), count(made)
    if given is None and made is None:
        if total:
            raise BadCount("a total without its parts")
        return 0, 0
    if not total:
        raise BadCount("half a record")
    rest = total - count(given) - count(made)
    return (count(given), rest) if made is None else (rest, count(made))


def _settle(
    given: int, made: int, cached: int, write: int, reasoning: int, total: int, hour: int = 0
) -> Usage | Missing:
    """The partition of two counts whose details are inside them, unless the provider's own total says beside.

    A total that is larger than every reading has output in it that nobody details (thinking, on Gemini's
    OpenAI-compatible endpoint).
    """
    if total and total != given + made:
        beside = given + cached + write
        if total == given + made + reasoning and cached + write <= given:
            made += reasoning
        elif total == beside + made:
            given = beside
        elif total == beside + made + reasoning:
            given, made = beside, made + reasoning
        elif total > beside + made and not reasoning:
            reasoning = total - given - made
            made += reasoning
    return _partition(given - cached - write, cached, write, made - reasoning, reasoning, hour)


def chat(record: Record) -> Usage | Missing:
    """OpenAI chat completions, and all who speak it: Mistral, LiteLLM, DeepSeek, xAI, Groq, vLLM."""
    get = record.get
    total = count(get("total_tokens"))
    given, made = _both(record, "prompt_tokens", "completion_tokens", total)
    hour = 0
    cached = write = reasoning = None
    details = get("prompt_tokens_details")
    if details is not None:
        inner = view(details)
        cached = inner.get("cached_tokens")
        # LiteLLM gives the same number under both names.
        write = inner.get("cache_write_tokens")
        if write is None:
            write = inner.get("cache_creation_tokens")
        if write:
            ages = inner.get("cache_creation_token_details")
            hour = 0 if ages is None else count(view(ages).get("ephemeral_1h_input_tokens"))
    details = get("completion_tokens_details")
    if details is not None:
        reasoning = view(details).get("reasoning_tokens")
    if cached is None:  # DeepSeek, LiteLLM of old, vLLM
        cached = (
            get("prompt_cache_hit_tokens")
            or get("cache_read_input_tokens")
            or get("num_cached_tokens")
            or get("cached_tokens")
        )
    if write is None:
        write = get("cache_creation_input_tokens")
    if "connector_tokens" in record:  # Mistral's agents: results of built-in tools, read as input
        given += count(get("connector_tokens"))
    return _settle(given, made, count(cached), 0 if write is None else count(write), count(reasoning), total, hour)


def responses(record: Record) -> Usage | Missing:
    """OpenAI responses API; also images and transcription, which count alike."""
    get = record.get
    total = count(get("total_tokens"))
    given, made = _both(record, "input_tokens", "output_tokens", total)
    cached = write = reasoning = 0
    details = get("input_tokens_details")
    if details is not None:
        inner = view(details)
        cached, write = count(inner.get("cached_tokens")), count(inner.get("cache_write_tokens"))
    details = get("output_tokens_details")
    if details is not None:
        reasoning = count(view(details).get("reasoning_tokens"))
    return _settle(given, made, cached, write, reasoning, total)


def anthropic(record: Record) -> Usage | Missing:
    """Anthropic messages: `input_tokens` is without the cache; `iterations` may hold work that is in no other count."""
    get = record.get
    given, made = _both(record, "input_tokens", "output_tokens", count(get("total_tokens")))
    cached = count(get("cache_read_input_tokens"))
    write = count(get("cache_creation_input_tokens"))
    reasoning = hour = 0
    ages = get("cache_creation")
    if ages is not None:
        inner = view(ages)
        hour = count(inner.get("ephemeral_1h_input_tokens"))
        write = write or hour + count(inner.get("ephemeral_5m_input_tokens"))
    details = get("output_tokens_details")
    if details is not None:
        reasoning = count(view(details).get("thinking_tokens"))
    found = _partition(given, cached, write, made - reasoning, reasoning, hour)
    steps = get("iterations")
    if not steps or not isinstance(found, Usage):
        return found
    for step in map(view, steps):
        # The summary of a compacted context, and an adviser's answers, are billed and not in the counts above.
        if step.get("type") in ("compaction", "advisor_message"):
            more = anthropic({key: value for key, value in step.items() if key != "iterations"})
            found = found + more if isinstance(more, Usage) else found
    return found


def gemini(record: Record) -> Usage | Missing:
    """google-genai `usage_metadata`, and the same in the camel case of the REST API."""
    get = record.get
    if "promptTokenCount" in record or "totalTokenCount" in record:
        prompt, cached, made = get("promptTokenCount"), get("cachedContentTokenCount"), get("candidatesTokenCount")
        thought, tools, whole = get("thoughtsTokenCount"), get("toolUsePromptTokenCount"), get("totalTokenCount")
    else:
        prompt, cached, made = (
            get("prompt_token_count"),
            get("cached_content_token_count"),
            get("candidates_token_count"),
        )
        thought, tools, whole = (
            get("thoughts_token_count"),
            get("tool_use_prompt_token_count"),
            get("total_token_count"),
        )
    given, kept, output, reasoning, total = count(prompt), count(cached), count(made), count(thought), count(whole)
    if kept > given or (prompt is None and (output or total)):
        # Counts of 0 are left out, but no prompt is empty.
        raise BadCount("more cache than prompt, or no prompt at all")
    if tools is not None:
        given += count(tools)
    if reasoning and total == given + output:
        output -= reasoning
    elif not reasoning and total > given + output:
        reasoning = total - given - output
    return _partition(given - kept, kept, 0, output, reasoning)


def converse(record: Record) -> Usage | Missing:
    """Bedrock converse (`inputTokens`), and the metrics that end an invoke stream (`inputTokenCount`).

    The cache is beside the input; `totalTokens` is not looked at, as models differ in what they put into it.
    """
    get = record.get
    suffix = "Count" if "inputTokenCount" in record else "s"
    given, made = _both(record, f"inputToken{suffix}", f"outputToken{suffix}", count(get("totalTokens")))
    cached = count(get("cacheReadInputTokens")) or count(get("cacheReadInputTokenCount"))
    write = count(get("cacheWriteInputTokens")) or count(get("cacheWriteInputTokenCount"))
    hour = 0
    for detail in get("cacheDetails") or ():
        inner = view(detail)
        if inner.get("ttl") == "1h":
            hour += count(inner.get("inputTokens"))
    return _partition(given, cached, write, made, 0, hour)


def langchain(record: Record) -> Usage | Missing:
    """LangChain `usage_metadata`: sums of all kinds, with details that need not be complete."""
    get = record.get
    given, made = _both(record, "input_tokens", "output_tokens", count(get("total_tokens")))
    cached = write = reasoning = hour = 0
    details = get("input_token_details")
    if details is not None:
        inner = view(details)
        cached, hour = count(inner.get("cache_read")), count(inner.get("ephemeral_1h_input_tokens"))
        # langchain-anthropic moves the count to the two ages and leaves 0 behind.
        write = max(count(inner.get("cache_creation")), hour + count(inner.get("ephemeral_5m_input_tokens")))
    details = get("output_token_details")
    if details is not None:
        reasoning = count(view(details).get("reasoning"))
    return _partition(given - cached - write, cached, write, made - reasoning, reasoning, hour)


def added(left: Record, right: Record) -> dict[str, Any]:
    """The sum of two usage records, details included, as adding two chunks gives it. Each chunk counts its own part."""
    result = dict(left)
    for key, value in right.items():
        before = result.get(key)
        if isinstance(value, Mapping):
            result[key] = added(before if isinstance(before, Mapping) else {}, value)
        elif type(value) is int:
            # Checked here, as a negative part would hide in the sum.
            result[key] = count(before) + count(value)
        elif value is not None:
            result[key] = value
    return result


_LANGFUSE = {"input", "output", "input_cached_tokens", "input_cache_creation", "output_reasoning_tokens"}


def _langfuse(record: Record) -> Usage | Missing:
    """Our own `usage_details`, and the {input, output} of Langfuse's first API."""
    get = record.get
    return _partition(
        count(get("input")),
        count(get("input_cached_tokens")),
        count(get("input_cache_creation")),
        count(get("output")),
        count(get("output_reasoning_tokens")),
    )


def reader_of(record: Record) -> Callable[[Record], Usage | Missing] | None:
    """Which of the above a record's own names ask for, or None."""
    if "prompt_tokens" in record or "completion_tokens" in record:
        return chat
    if "input_tokens" in record or "output_tokens" in record:
        if "input_token_details" in record or "output_token_details" in record:
            return langchain
        if "input_tokens_details" in record:
            return responses
        return anthropic
    if "inputTokens" in record or "inputTokenCount" in record:
        return converse
    if "prompt_token_count" in record or "promptTokenCount" in record:
        return gemini
    return None


def read_usage(record: Any) -> Usage | Missing:
    """A bare usage record of any kind above (also a `Usage`, or Langfuse's `usage_details`). Never raises."""
    if isinstance(record, (Usage, Missing)):
        return record
    try:
        fields = view(record)
        read = reader_of(fields) or (_langfuse if not _LANGFUSE.isdisjoint(fields) else None)
        if read is None:
            return UNRECOGNISED if fields else usage_of(chat, record)
        return usage_of(read, record)
    except Exception:  # foreign objects may raise anything when they are looked at
        return UNRECOGNISED
