"""The table of usage records: which field names identify which provider's record."""

from __future__ import annotations

from typing import Any

from . import billing
from .billing import Bill
from .counts import ReadRecord, Record, first, names, usage_of
from .shapes import (
    anthropic,
    bedrock,
    camel_case,
    cohere,
    frameworks,
    gemini,
    langchain,
    ollama,
    openai_chat,
    openai_responses,
    others,
)
from .usage import UNRECOGNISED, Missing, Usage
from .view import view

# The first of these names that a record has identifies it.
RECORDS: tuple[tuple[str, ReadRecord], ...] = (
    ("prompt_tokens", openai_chat.usage),
    ("completion_tokens", openai_chat.usage),
    ("inputTokenDetails", camel_case.ai_sdk),
    ("inputTokens", bedrock.usage),
    ("promptTokens", camel_case.usage),
    ("PromptTokens", camel_case.usage),
    ("inputTextTokens", others.yandex_usage),
    ("inputTokenCount", bedrock.usage),
    ("promptTokenCount", gemini.usage),
    ("prompt_token_count", gemini.usage),
    ("candidatesTokenCount", gemini.usage),
    ("candidates_token_count", gemini.usage),
    ("totalTokenCount", gemini.usage),
    ("total_token_count", gemini.usage),
    ("total_input_tokens", gemini.interaction),
    ("prompt_eval_count", ollama.usage),
    ("billed_units", cohere.usage),
    ("tokens", cohere.usage),
    ("input_token_count", others.replicate_usage),
    ("num_tokens_prompt_total", others.aleph_alpha_usage),
)

# What else of a record decides the cost, by how its tokens are read.
BILLS: dict[ReadRecord, Bill] = {
    openai_chat.usage: billing.of_chat,
    openai_responses.usage: billing.of_responses,
    anthropic.usage: billing.of_anthropic,
    gemini.usage: billing.of_gemini,
    langchain.usage: billing.of_langchain,
    frameworks.pydantic_ai: billing.of_pydantic_ai,
}

# Where LangChain's details say `audio`, OpenAI's of transcriptions and realtime answers say `audio_tokens`.
_OPENAI = names("cached_tokens cached_tokens_details reasoning_tokens audio_tokens text_tokens image_tokens")


def reader_of(record: Record) -> ReadRecord | None:
    """The reader for a record, chosen by the record's own names, or None."""
    if "input_tokens" in record or "output_tokens" in record:
        return _input_tokens(record)
    if view(record.get("inputTokens")):
        return camel_case.ai_sdk
    for name, read in RECORDS:
        if name in record:
            return read if read is not cohere.usage or not isinstance(record[name], (int, float)) else None
    return None


def _input_tokens(record: Record) -> ReadRecord | None:
    """The reader for a record with `input_tokens`; its other names show whether these include the cache."""
    if "prompt_tokens" in record:  # both conventions at once: OpenAI's has the details
        return openai_chat.usage
    if "input_token_details" in record or "output_token_details" in record:
        inner = view(record.get("input_token_details"))
        outer = view(record.get("output_token_details"))
        return langchain.usage if _OPENAI.isdisjoint(inner) and _OPENAI.isdisjoint(outer) else openai_responses.usage
    if "input_tokens_details" in record or "prompt_tokens_details" in record:
        return openai_responses.usage
    if "input_tokens_cache_read" in record:
        return frameworks.inspect_ai
    if "cache_read_tokens" in record or "cache_write_tokens" in record:
        own = "details" in record or "input_audio_tokens" in record or "output_reasoning_tokens" in record
        return frameworks.pydantic_ai if own else frameworks.cached_apart
    if "output_reasoning_tokens" in record or ("details" in record and "requests" in record):
        return frameworks.pydantic_ai
    if "output_tokens_details" in record:
        thinking = "thinking_tokens" in view(record["output_tokens_details"])
        if not thinking and "cache_read_input_tokens" not in record:
            return openai_responses.usage
    if record.get("total_tokens") and not first(record, "cache_read_input_tokens", "cache_creation_input_tokens"):
        return openai_responses.usage
    return anthropic.usage


def read_usage(record: Any) -> Usage | Missing:
    """Read a bare usage record of any kind above (also a `Usage`, or Langfuse's `usage_details`). Never raises."""
    if isinstance(record, (Usage, Missing)):
        return record
    try:
        fields = view(record)
        read = reader_of(fields) or (frameworks.langfuse if not frameworks.LANGFUSE.isdisjoint(fields) else None)
        if read is None:
            return UNRECOGNISED if fields else usage_of(openai_chat.usage, record)
        return usage_of(read, record)
    except Exception:  # foreign objects may raise anything when inspected
        return UNRECOGNISED
