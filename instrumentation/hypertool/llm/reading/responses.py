"""The table of responses: the shape of each class, and the field names that identify the shape of a plain dict.

To add a shape: a file in `shapes/` with its rule, a line here for its response, one in `records` for its usage record
and one in `streams` for its chunks, and rows of cases in `tests/llm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import langchain_messages, records
from .counts import ReadRecord, usage_of
from .fields import Fields, ReadResponse, reading, reasons, text
from .shapes import (
    anthropic,
    bedrock,
    camel_case,
    cohere,
    gemini,
    local_servers,
    ollama,
    openai_chat,
    openai_responses,
    others,
)
from .usage import NO_USAGE, UNRECOGNISED, Reading, Usage
from .view import view

# (top package, class) -> shape, provider. Subclasses inherit: OpenAI's parsed completions, Anthropic's beta messages.
CLASSES: dict[tuple[str, str], tuple[ReadResponse, str | None]] = {
    ("openai", "ChatCompletion"): (openai_chat.response, "openai"),
    ("openai", "Completion"): (openai_chat.response, "openai"),
    ("openai", "CreateEmbeddingResponse"): (others.embeddings, "openai"),
    ("openai", "Response"): (openai_responses.response, "openai"),
    ("openai", "ImagesResponse"): (openai_responses.transcription, "openai"),
    ("openai", "InputTokenCountResponse"): (others.nothing_used, "openai"),
    ("anthropic", "Message"): (anthropic.response, "anthropic"),
    ("anthropic", "BetaMessage"): (anthropic.response, "anthropic"),
    ("anthropic", "MessageTokensCount"): (others.nothing_used, "anthropic"),
    ("anthropic", "BetaMessageTokensCount"): (others.nothing_used, "anthropic"),
    ("google", "GenerateContentResponse"): (gemini.response, "gcp.gen_ai"),
    ("google", "CountTokensResponse"): (others.nothing_used, "gcp.gen_ai"),
    ("google", "CachedContent"): (others.nothing_used, "gcp.gen_ai"),
    ("mistralai", "ChatCompletionResponse"): (openai_chat.response, "mistral_ai"),
    ("mistralai", "FIMCompletionResponse"): (openai_chat.response, "mistral_ai"),
    ("mistralai", "EmbeddingResponse"): (others.embeddings, "mistral_ai"),
    ("mistralai", "ConversationResponse"): (openai_chat.response, "mistral_ai"),
    ("litellm", "ModelResponse"): (openai_chat.response, None),
    ("litellm", "TextCompletionResponse"): (openai_chat.response, None),
    ("litellm", "EmbeddingResponse"): (others.embeddings, None),
    ("langchain_core", "AIMessage"): (langchain_messages.response, None),
    ("langchain_core", "LLMResult"): (langchain_messages.generations, None),
    ("langchain_core", "ChatResult"): (langchain_messages.generations, None),
}

PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "mistralai": "mistral_ai",
    "groq": "groq",
    "together": "together_ai",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "xai_sdk": "x_ai",
    "ibm_watsonx_ai": "ibm.watsonx.ai",
}
"""The provider of an SDK's other classes, by top package."""

# Under which names a response that only its record tells has its model and its id; the first one that says something.
MODEL_NAMES = ("model", "model_name")
ID_NAMES = ("id", "request_id", "response_id", "provider_response_id")


def _generations(fields: Fields, provider: str | None) -> Reading:
    """LangChain's results, or an answer of Cohere's first API."""
    own = "billed_units" in view(fields.get("meta"))
    return (cohere.response if own else langchain_messages.generations)(fields, provider)


# Names of a response without `usage`, of which one tells the shape, in the order in which they are looked for.
NAMES: tuple[tuple[str, ReadResponse], ...] = (
    ("usageMetadata", gemini.response),
    ("modelVersion", gemini.response),
    ("x_groq", openai_chat.response),
    ("generations", _generations),
    ("inputTextTokenCount", bedrock.titan),
    ("generation_token_count", bedrock.llama),
    ("num_tokens_prompt_total", others.aleph_alpha),
    ("predictions", gemini.predicted),
    ("tokens_evaluated", local_servers.llama_cpp),
    ("choices", openai_chat.response),
)


def by_keys(fields: Fields, provider: str | None) -> Reading:
    """Read a plain dict, or an object of a class that is not in the table, by its field names."""
    get = fields.get
    record = get("usage")
    if (record is not None or "usage" in fields) and (not callable(record) or view(record)):
        return _by_usage(fields, record, provider)
    if "usage_metadata" in fields or "response_metadata" in fields:
        inner = view(get("usage_metadata"))
        if "response_metadata" in fields or "input_tokens" in inner:
            return langchain_messages.response(fields, provider)
        return _gemini(fields, provider)
    if "ResponseMetadata" in fields and ("body" in fields or "stream" in fields):
        return bedrock.invoke(fields, provider)
    for name, shape in NAMES:
        if name in fields:
            return shape(fields, provider) if shape is not gemini.response else _gemini(fields, provider)
    return _by_other_names(fields, provider)


def _by_other_names(fields: Fields, provider: str | None) -> Reading:
    get = fields.get
    meta = view(get("meta"))
    if "billed_units" in meta or "api_version" in meta or "input_tokens" in view(meta.get("tokens")):
        return cohere.response(fields, provider)
    if "prompt_eval_count" in fields or ("eval_count" in fields and "model" in fields):
        return ollama.response(fields, provider)
    if "model_id" in fields and "results" in fields:
        return others.watsonx(fields, provider)
    metrics = view(get("metrics"))
    if "predict_time" in metrics or "input_token_count" in metrics:
        return others.replicate(fields, provider)
    if "embeddings" in fields and ("metadata" in fields or _has_statistics(get("embeddings"))):
        return gemini.embedded(fields, provider)
    data = get("data")
    if isinstance(data, list) and data and {"embedding", "usage"} <= view(data[0]).keys():
        return others.each_embedding(fields, provider)
    if "total_tokens" in fields and ("embeddings" in fields or "results" in fields):
        return others.vectors(fields, provider)
    if "total_output_tokens" in view(get("stats")):
        return local_servers.lm_studio(fields, provider)
    if "payload" in fields and "sid" in view(get("header")):
        return others.spark(fields, provider)
    if "generated_tokens" in view(get("details")):
        return local_servers.tgi(fields, provider)
    if "PromptTokens" in view((view(get("Response")) or fields).get("Usage")):
        return camel_case.hunyuan(fields, provider)
    if get("object") in ("response", "chat.completion"):
        return openai_chat.response(fields, provider)
    if _is_count_of_tokens(fields):
        return others.NOTHING
    read = records.reader_of(fields)
    if read is not None:
        bill = records.BILLS.get(read)
        return Reading(
            usage_of(read, fields), text(get("model")), None, (), provider, None, bill(fields) if bill else None
        )
    return Reading(UNRECOGNISED)


def _by_usage(fields: Fields, record: object, provider: str | None) -> Reading:
    """A response that has `usage`; its names and those of the record decide the shape."""
    if isinstance(record, Usage):  # the observed function computed or estimated it
        return Reading(record, text(fields.get("model")), text(fields.get("id")), (), provider)
    inner = view(record)
    if "prompt_tokens" in inner and "choices" in fields:  # the most common case
        return openai_chat.response(fields, provider)
    kind = fields.get("type")
    if kind == "message" or "stop_reason" in fields:
        return anthropic.response(fields, provider or ("anthropic" if kind == "message" else None))
    if "stopReason" in fields or ("inputTokens" in inner and records.reader_of(inner) is bedrock.usage):
        return bedrock.converse(fields, provider)
    if fields.get("object") == "response":
        return openai_responses.response(fields, provider)
    if "billed_units" in inner or (isinstance(inner.get("tokens"), Mapping)):
        return cohere.response(fields, provider)
    if "total_input_tokens" in inner:
        return gemini.interactions(fields, provider)
    if inner.get("type") == "duration":
        return openai_responses.transcription(fields, provider)
    if "total_tokens" in inner and _nothing_written(fields, inner):
        return others.vectors(fields, provider)
    read = records.reader_of(inner)
    if read is anthropic.usage:
        return anthropic.response(fields, provider)
    if read is openai_responses.usage:
        return openai_responses.response(fields, provider)
    if read is not None and read is not openai_chat.usage:
        return _with_record(read, record, fields, provider)
    if read is None and inner and "choices" not in fields:
        return Reading(NO_USAGE if _no_tokens(inner) else UNRECOGNISED)
    return openai_chat.response(fields, provider)


def _with_record(read: ReadRecord, record: Any, fields: Fields, provider: str | None) -> Reading:
    """A response that only its record tells: DashScope's, pydantic-ai's, an own object."""
    get = fields.get
    bill = records.BILLS.get(read)
    return reading(
        usage_of(read, record),
        next(filter(None, map(get, MODEL_NAMES)), None),
        next(filter(None, map(get, ID_NAMES)), None),
        reasons(get("choices")),
        provider,
        None,
        bill(record) if bill is not None else None,
    )


def _gemini(fields: Fields, provider: str | None) -> Reading:
    """A Gemini response; cached contents report the size of the cache, which no call has used."""
    if "candidates" not in fields and "cachedContents/" in str(fields.get("name", "")):
        return others.NOTHING
    return gemini.response(fields, provider)


def _has_statistics(vectors: object) -> bool:
    return isinstance(vectors, (list, tuple)) and bool(vectors) and "statistics" in view(vectors[0])


def _nothing_written(fields: Fields, record: Fields) -> bool:
    """Whether the response holds vectors or a ranking, with a total and no other count."""
    if record.get("prompt_tokens") is not None or record.get("input_tokens") is not None or "choices" in fields:
        return False
    return any(name in fields for name in ("data", "results", "embeddings", "embedding"))


def _is_count_of_tokens(fields: Fields) -> bool:
    if "totalTokens" in fields and "inputTokens" not in fields:
        return True
    if "total_tokens" in fields and "prompt_tokens" not in fields and "output_tokens" not in fields:
        return "input_tokens" not in fields
    given = fields.get("input_tokens", fields.get("inputTokens"))
    return given is not None and not any("output" in name for name in fields) and "total_tokens" not in fields


def _no_tokens(record: Fields) -> bool:
    """Whether the record counts only units (of a guardrail or a search), not tokens."""
    return bool(record) and all("unit" in name.lower() or "polic" in name.lower() for name in record)
