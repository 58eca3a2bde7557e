"""A whole response as its provider streams it: the same answer in several chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Chunks = list[Any]


def streamed(whole: Any) -> Chunks | None:
    """The chunks of `whole`, or None if no provider streams it. A batch is one stream after the other."""
    if isinstance(whole, list):
        each = [streamed(one) for one in whole]
        return None if None in each else [chunk for chunks in each for chunk in chunks or ()]
    if not isinstance(whole, dict):
        return None
    for tells, make in _SHAPES:
        if tells(whole):
            return make(whole)
    return None


def _chat(whole: dict[str, Any]) -> Chunks:
    about = {key: whole[key] for key in ("id", "model", "service_tier") if key in whole}
    about["object"] = "chat.completion.chunk"
    rest = {key: whole[key] for key in ("usage", "x_groq") if key in whole}
    return [
        {**about, "choices": [{"delta": {"content": "x"}, "finish_reason": None}]},
        {**about, "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {**about, "choices": [], **rest},
    ]


def _message(whole: dict[str, Any]) -> Chunks:
    """The start has the input, the delta what became of it, with the searches and the steps."""
    usage = dict(whole["usage"])
    late = ("output_tokens", "output_tokens_details", "server_tool_use", "iterations")
    first = {key: value for key, value in usage.items() if key not in late}
    message = {"id": whole.get("id"), "model": whole.get("model"), "usage": {**first, "output_tokens": 1}}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_delta", "delta": {"text": "x"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"]},
            "usage": {key: value for key, value in usage.items() if key in late},
        },
        {"type": "message_stop"},
    ]


def _response(whole: dict[str, Any]) -> Chunks:
    return [
        {"type": "response.created", "response": {"id": whole.get("id"), "model": whole.get("model")}},
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.done" if "realtime" in whole["object"] else "response.completed", "response": whole},
    ]


def _gemini(whole: dict[str, Any]) -> Chunks:
    """What it searched for comes before the last chunk, and a part of it is said again."""
    about = {key: value for key, value in whole.items() if key not in ("candidates", "usageMetadata")}
    grounding = [one.get("groundingMetadata", {}) for one in whole.get("candidates", ())]
    queries = [query for one in grounding for query in one.get("webSearchQueries", ())]
    parts = [[], queries[:1], queries]
    return [
        *({**about, "candidates": [{"groundingMetadata": {"webSearchQueries": part}}]} for part in parts),
        {**about, "candidates": [{"finishReason": "STOP"}], "usageMetadata": whole["usageMetadata"]},
    ]


def _interaction(whole: dict[str, Any]) -> Chunks:
    return [
        {"event_type": "interaction.created", "interaction": {"id": whole["id"], "model": whole.get("model")}},
        {"event_type": "interaction.completed", "interaction": whole},
    ]


def _converse(whole: dict[str, Any]) -> Chunks:
    tier = {"serviceTier": whole["serviceTier"]} if "serviceTier" in whole else {}
    return [
        {"messageStart": {"role": "assistant"}},
        {"messageStop": {"stopReason": whole["stopReason"]}},
        {"metadata": {"usage": whole["usage"], **tier}},
    ]


def _chain(whole: dict[str, Any]) -> Chunks:
    """The input in the first chunk and the output in the last one; what the integration says is in the last as well."""
    usage = whole["usage_metadata"]
    given, made, total = (usage[key] for key in ("input_tokens", "output_tokens", "total_tokens"))
    piece = {"type": "AIMessageChunk", "id": whole["id"], "response_metadata": {}}
    first = {"input_tokens": given, "output_tokens": 0, "total_tokens": given}
    last = {"input_tokens": 0, "output_tokens": made, "total_tokens": total - given}
    for part, key in ((first, "input_token_details"), (last, "output_token_details")):
        if key in usage:
            part[key] = usage[key]
    return [
        {**piece, "usage_metadata": first},
        {
            **piece,
            "response_metadata": whole["response_metadata"],
            "usage_metadata": last,
            "chunk_position": "last",
        },
    ]


# What tells a response, and its chunks; the first one that fits counts.
_SHAPES: tuple[tuple[Callable[[dict[str, Any]], bool], Callable[[dict[str, Any]], Chunks]], ...] = (
    (lambda one: one.get("object") == "chat.completion" or "x_groq" in one, _chat),
    (lambda one: one.get("type") == "message", _message),
    (lambda one: one.get("object") in ("response", "realtime.response"), _response),
    (lambda one: "usageMetadata" in one and "name" not in one, _gemini),
    (lambda one: "total_input_tokens" in one.get("usage", {}), _interaction),
    (lambda one: "stopReason" in one, _converse),
    # A stream of chunks carries no copy of the provider's own record.
    (lambda one: one.get("type") == "ai" and not {"usage", "token_usage"} & set(one["response_metadata"]), _chain),
    (lambda one: "text" in one and "usage" in one, lambda one: [{"type": "transcript.text.done", **one}]),
    (
        lambda one: "message" in one and "tokens" in one.get("usage", {}),
        lambda one: [{"type": "message-start", "id": one["id"]}, {"type": "message-end", "delta": one}],
    ),
    (
        lambda one: "text" in one and "meta" in one,
        lambda one: [{"event_type": "text-generation"}, {"event_type": "stream-end", "response": one}],
    ),
    (lambda one: one.get("done") is True, lambda one: [{**one, "done": False, "eval_count": None}, one]),
    (lambda one: "request_id" in one or "details" in one.get("usage", {}), lambda one: [one]),
)
