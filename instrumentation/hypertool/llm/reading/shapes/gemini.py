"""Gemini: `generateContent`, Vertex, Live, and the Interactions API; in snake case (SDK) and camel case (REST).

Rule (https://ai.google.dev/api/generate-content#UsageMetadata): `promptTokenCount` includes the cache, but not
`toolUsePromptTokenCount`; `candidatesTokenCount` (`responseTokenCount` in Live) does not include `thoughtsTokenCount`.
Some Vertex models include the thoughts in the candidates' count, or the candidates in the thoughts'; the total shows
this. Interactions
(https://ai.google.dev/api/interactions-api) follow the same rule with the names `total_input_tokens`,
`total_cached_tokens`, `total_output_tokens`, `total_thought_tokens`, `total_tool_use_tokens`.

Streams: every chunk has the counts so far; the last one counts. Automatic function calling puts several answers into
one stream, each with its own `responseId`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import billing
from ..answers import Answers
from ..counts import BadCount, Record, count, known, names, partition, usage_of
from ..fields import Fields, quick_reading, reading, reasons, text, tier
from ..usage import Missing, Reading, Usage
from ..view import view

_SNAKE = (
    "prompt_token_count",
    "cached_content_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "tool_use_prompt_token_count",
    "total_token_count",
    "response_token_count",
)
_CAMEL = (
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "totalTokenCount",
    "responseTokenCount",
)
_RECORD = names(
    """
    cache_tokens_details candidates_tokens_details prompt_tokens_details tool_use_prompt_tokens_details traffic_type
    service_tier cacheTokensDetails candidatesTokensDetails promptTokensDetails toolUsePromptTokensDetails trafficType
    serviceTier
    """
).union(_SNAKE, _CAMEL)
_INTERACTION = names(
    """
    total_input_tokens total_cached_tokens total_output_tokens total_thought_tokens total_tool_use_tokens
    total_tokens cached_tokens_by_modality thought_tokens_by_modality
    """
)
_NO_QUERIES: frozenset[int] = frozenset()


def usage(record: Record) -> Usage | Missing:
    """The partition of `usageMetadata`."""
    get = record.get
    if not _RECORD.issuperset(record):
        known(record, _RECORD)
    if "prompt_token_count" in record or "total_token_count" in record:
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
        if made is None:
            made = get("response_token_count")
    else:
        prompt, cached, made = get("promptTokenCount"), get("cachedContentTokenCount"), get("candidatesTokenCount")
        thought, tools, whole = get("thoughtsTokenCount"), get("toolUsePromptTokenCount"), get("totalTokenCount")
        if made is None:
            made = get("responseTokenCount")
    return _parts(prompt, cached, made, thought, tools, whole)


def interaction(record: Record) -> Usage | Missing:
    """The partition of an interaction's usage."""
    get = record.get
    if not _INTERACTION.issuperset(record):
        known(record, _INTERACTION)
    return _parts(
        get("total_input_tokens"),
        get("total_cached_tokens"),
        get("total_output_tokens"),
        get("total_thought_tokens"),
        get("total_tool_use_tokens"),
        get("total_tokens"),
    )


def _parts(prompt: Any, cached: Any, made: Any, thought: Any, tools: Any, whole: Any) -> Usage | Missing:
    given = 0 if prompt is None else count(prompt)
    kept = 0 if cached is None else count(cached)
    output = 0 if made is None else count(made)
    reasoning = 0 if thought is None else count(thought)
    total = 0 if whole is None else count(whole)
    if tools is not None:
        given += count(tools)
    if prompt is None:
        # Counts of 0 are omitted, but a prompt is never empty: it is the rest of the total.
        if total or output or reasoning:
            rest = total - given - output - reasoning
            if rest <= 0 or not (output or reasoning):
                raise BadCount("no prompt at all")
            given += rest
    elif kept > given - (0 if tools is None else count(tools)):
        raise BadCount("more cache than prompt")
    rest = total - given - output - reasoning
    if reasoning and total == given + output:
        output -= reasoning
    elif total and total == given + reasoning:
        reasoning -= min(output, reasoning)
    elif rest > 0 and not reasoning:
        reasoning = rest
    elif rest > 0:
        given += rest
    return partition(given - kept, kept, 0, output, reasoning)


def response(fields: Fields, provider: str | None) -> Reading:
    """google-genai `generate_content`, and the JSON of the REST API."""
    record, model, identity, found, named, price_class = _said(fields, provider)
    queries = _queries(fields.get("candidates"))
    fees = billing.search_fees(model, len(queries)) if queries else 0
    bill = None if record is None else billing.of_gemini(record, fees)
    return quick_reading(Reading, (usage_of(usage, record), model, identity, found, named, price_class, bill, ()))


def _said(fields: Fields, provider: str | None) -> tuple[Any, str | None, str | None, tuple[str, ...], str, str | None]:
    """The record, the model, the id, the reasons to finish, the provider and the service tier."""
    get = fields.get
    record = get("usage_metadata")
    if record is None:
        record = get("usageMetadata")
    inner = view(record)
    traffic = inner.get("traffic_type") or inner.get("trafficType")
    return (
        record,
        text(get("model_version") or get("modelVersion")),
        text(get("response_id") or get("responseId")),
        reasons(get("candidates"), "finishReason" if "usageMetadata" in fields else "finish_reason"),
        # Only Vertex AI says what kind of traffic it was.
        "gcp.vertex_ai" if traffic else provider or "gcp.gen_ai",
        tier(traffic) or tier(inner.get("service_tier") or inner.get("serviceTier")),
    )


def _queries(candidates: Any) -> frozenset[int]:
    """The Google searches that an answer is grounded on, each once, by their hashes."""
    found = _NO_QUERIES
    if type(candidates) is list or isinstance(candidates, (list, tuple)):
        for one in candidates:
            inner = view(one)
            about = inner.get("grounding_metadata") or inner.get("groundingMetadata")
            if about is not None:
                more = view(about)
                asked = more.get("web_search_queries") or more.get("webSearchQueries")
                if isinstance(asked, (list, tuple)):
                    found |= {hash(query) for query in asked if query and isinstance(query, str)}
    return found


def interactions(fields: Fields, provider: str | None) -> Reading:
    """An interaction."""
    get = fields.get
    status = text(get("status"))
    return reading(
        usage_of(interaction, get("usage")),
        get("model"),
        get("id"),
        (status,) if status else (),
        provider or "gcp.gen_ai",
        tier(get("service_tier")),
    )


def embedded(fields: Fields, provider: str | None) -> Reading:
    """Embeddings of google-genai and Vertex: each vector has the token count of its own text."""
    given = 0
    for one in fields.get("embeddings") or fields.get("predictions") or ():
        inner = view(one)
        inner = view(inner.get("embeddings")) or inner
        given += count(first_of(view(inner.get("statistics")), "token_count", "tokenCount"))
    return reading(partition(given, 0, 0, 0, 0), None, None, (), provider or "gcp.gen_ai", None)


def first_of(record: Record, *names: str) -> Any:
    """The first value of `names` that is not None, else None."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def predicted(fields: Fields, provider: str | None) -> Reading:
    """Vertex `predict` (https://cloud.google.com/vertex-ai/docs/reference/rest): PaLM's counts, or embeddings."""
    tokens = view(view(fields.get("metadata")).get("tokenMetadata"))
    if not tokens:
        return embedded(fields, provider or "gcp.vertex_ai")
    given = count(view(tokens.get("inputTokenCount")).get("totalTokens"))
    made = count(view(tokens.get("outputTokenCount")).get("totalTokens"))
    return reading(partition(given, 0, 0, made, 0), None, None, (), provider or "gcp.vertex_ai", None)


def step(answers: Answers, chunk: Any) -> None:
    """A chunk of a stream, a message of a Live session, or an event of the Agent Development Kit."""
    fields = view(chunk)
    if fields.get("partial") is True and "invocation_id" in fields:
        return  # said again by the whole event
    record, model, own, stop, named, price_class = _said(fields, None)
    identity = own or (text(fields.get("id")) if "invocation_id" in fields else None)
    if not answers.known or (answers.ended and identity and answers.id and identity != answers.id):
        answers.begin(model, identity, named)
    answers.model, answers.id = model or answers.model, answers.id or identity
    answers.reasons += stop
    answers.provider = named if record else answers.provider or named  # the record says whether it is Vertex AI
    answers.tier = price_class or answers.tier
    done = bool(stop) or bool(fields.get("turnComplete")) or "invocation_id" in fields
    if answers.settled and not done and fields.get("candidates"):  # it goes on after a first end
        answers.ended = answers.settled = False
    answers.ended = answers.ended or done
    if record:
        answers.take(record, usage, done or answers.ended, billing.of_gemini)
    queries = _queries(fields.get("candidates"))
    if queries:
        answers.queries |= queries
    if answers.queries:
        answers.bill = partial(billing.of_gemini, fees=billing.search_fees(answers.model, len(answers.queries)))


def interaction_event(answers: Answers, fields: Fields) -> None:
    """An event of a streamed interaction: counts so far in `metadata`, final counts in the ended interaction."""
    whole = view(fields.get("interaction"))
    kind = fields.get("event_type")
    if kind in ("interaction.start", "interaction.created") or not answers.known:
        answers.begin(whole.get("model"), whole.get("id"), "gcp.gen_ai")
        answers.needs_end = True
    if whole:
        answers.model, answers.id = answers.model or text(whole.get("model")), answers.id or text(whole.get("id"))
    ended = kind in ("interaction.completed", "interaction.complete", "interaction.failed", "interaction.cancelled")
    about = view(fields.get("metadata"))
    record = whole.get("usage") or about.get("total_usage") or about.get("usage")
    if record:
        answers.take(record, interaction, ended)
    if ended:
        status = text(whole.get("status"))
        answers.reasons += (status,) if status else ()
        answers.tier = tier(whole.get("service_tier")) or answers.tier
        answers.settled = answers.ended = True
