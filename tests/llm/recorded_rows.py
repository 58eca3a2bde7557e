"""Responses found in recordings of other projects, where gateways and servers count otherwise; see `provider_rows`."""

from __future__ import annotations

from typing import Any

from tests.llm.provider_rows import Row


def _chat(given: int, made: int, total: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": total, **more}


def _answer(model: str, **usage: Any) -> dict[str, Any]:
    return {"model": model, "object": "chat.completion", "choices": [{"finish_reason": "stop"}], "usage": usage}


def _thought(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def _gemini(given: int, made: int, total: int, thought: int) -> dict[str, Any]:
    counts = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": total}
    return {"candidates": [{}], "usageMetadata": {**counts, "thoughtsTokenCount": thought}}


def _spark(status: int, **usage: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {"choices": {"status": status, "text": [{"content": "x"}]}}
    return {
        "header": {"code": 0, "sid": "cht1", "status": status},
        "payload": {**payload, **({"usage": {"text": usage}} if usage else {})},
    }


def _inspect(given: int, total: int, **more: Any) -> dict[str, Any]:
    return {"usage": {"input_tokens": given, "output_tokens": 20, "total_tokens": total, **more}}


def _strands(*runs: dict[str, Any]) -> dict[str, Any]:
    return {
        "stop_reason": "end_turn",
        "message": {"role": "assistant", "content": [{"text": "x"}]},
        "metrics": {"accumulated_usage": {"inputTokens": 999}, "agent_invocations": [{"usage": run} for run in runs]},
    }


def _piece(identity: str, **more: Any) -> dict[str, Any]:
    choice = {"delta": {"content": ""}, "finish_reason": more.pop("stop", None)}
    return {"id": identity, "object": "chat.completion.chunk", "choices": [choice], **more}


_VERCEL = {**_chat(9, 52, 61), **_thought(20), "market_cost": 0.01}
_LAST = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
_CLAUDE = {"input_tokens": 2, "output_tokens": 46, "cache_creation_input_tokens": 0}
_READ = {"cacheReadInputTokens": 5}
_BODIES = [_answer("m", **_chat(27, 2, 29)), _answer("m", **_chat(27, 3, 30))]
_DETAILS = {"finish_reason": "length", "generated_tokens": 20}

WHOLE: list[Row] = [
    # A gateway that leaves the thoughts out of the completion and the total; its Google models do so always.
    ("reasoning beside a total without it", _answer("m", **_chat(61, 10, 71), **_thought(96)), (61, 0, 0, 10, 96)),
    ("reasoning estimated above the output", _answer("m", **_chat(42, 80, 122), **_thought(100)), (42, 0, 0, 0, 80)),
    ("vercel google", _answer("google/gemini-3-pro", **_VERCEL), (9, 0, 0, 52, 20)),
    ("vercel openai", _answer("openai/gpt-5", **_VERCEL), (9, 0, 0, 32, 20)),
    ("gemini candidates in the thoughts", _gemini(18, 1, 221, 203), (18, 0, 0, 1, 202)),
    ("gigachat", _answer("GigaChat", **_chat(1, 4, 5, precached_prompt_tokens=37)), (1, 37, 0, 4, 0)),
    ("snowflake guard", _answer("m", **_chat(93, 402, 1172, guardrails_tokens=677)), (770, 0, 0, 402, 0)),
    (
        "perplexity agent",
        {
            "object": "response",
            "usage": {
                "input_tokens": 100,
                "output_tokens": 9,
                "total_tokens": 109,
                "input_tokens_details": {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 30},
            },
        },
        (10, 60, 30, 9, 0),
    ),
    ("cohere rank without units", {"results": [], "meta": {"tokens": {"input_tokens": 25}}}, (25, 0, 0, 0, 0)),
    ("spark", _spark(2, question_tokens=4, **_chat(5, 9, 14)), (5, 0, 0, 9, 0)),
    ("spark before its end", _spark(1), "no_usage"),
    ("tgi", {"generated_text": "x", "details": {**_DETAILS, "prefill": [{"id": 1}, {"id": 2}]}}, (2, 0, 0, 20, 0)),
    ("tgi list", [{"generated_text": "x", "details": {**_DETAILS, "input_length": 7}}], (7, 0, 0, 20, 0)),
    ("tgi without a prompt", {"generated_text": "x", "details": {**_DETAILS, "prefill": []}}, "invalid"),
    ("inspect", _inspect(30, 90, input_tokens_cache_read=40, reasoning_tokens=5), (30, 40, 0, 15, 5)),
    ("inspect old log", _inspect(70, 90, input_tokens_cache_read=40), (30, 40, 0, 20, 0)),
    (
        "inspect cache write",
        _inspect(30, 90, input_tokens_cache_read=0, input_tokens_cache_write=40),
        (30, 0, 40, 20, 0),
    ),
    ("strands last run", _strands({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, _LAST), (9, 0, 0, 3, 0)),
    ("strands cache beside", _strands({**_LAST, "totalTokens": 17, **_READ}), (9, 5, 0, 3, 0)),
    # Its OpenAI models count the cache in the input, Bedrock's may not: nothing in this record tells which.
    ("strands cache above the input", _strands({**_LAST, "cacheReadInputTokens": 90}), (9, 90, 0, 3, 0)),
    ("strands no number", _strands({**_LAST, "cacheReadInputTokens": "x"}), "invalid"),
    ("strands cache somewhere", _strands({**_LAST, **_READ}), "unrecognised"),
    (
        "gemini batch",
        {"response": {"inlinedResponses": {"inlinedResponses": [{"response": _gemini(13, 1, 57, 43)}]}}},
        (13, 0, 0, 1, 43),
    ),
    (
        "gemini batch of the sdk",
        {"name": "batches/1", "dest": {"inlined_responses": [{"response": _gemini(13, 1, 57, 43)}, {"error": {}}]}},
        (13, 0, 0, 1, 43),
    ),
    (
        "mistral batch",
        {"object": "batch", "outputs": [{"response": {"status_code": 200, "body": body}} for body in _BODIES]},
        (54, 0, 0, 5, 0),
    ),
    (
        "xai batch",
        {"results": [{"batch_result": {"response": {"chat_get_completion": body}}} for body in _BODIES]},
        (54, 0, 0, 5, 0),
    ),
    ("kinetica", {"status": "OK", "data": {"status": "OK", "data": _BODIES[0]}}, (27, 0, 0, 2, 0)),
    (
        "gigachat embeddings",
        {"object": "list", "data": [{"embedding": [0.1], "usage": {"prompt_tokens": count}} for count in (7, 4)]},
        (11, 0, 0, 0, 0),
    ),
    ("list of stored runs", {"object": "list", "data": _BODIES}, "unrecognised"),
]

STREAMS: list[Row] = [
    (
        "gateway changes the id",
        [
            _piece("chatcmpl-1"),
            _piece("gen-2"),
            _piece("gen-2", stop="stop"),
            _piece("gen-2", stop="stop", usage=_chat(154, 131, 285)),
        ],
        (154, 0, 0, 131, 0),
    ),
    (
        "vercel google",
        [_piece("g", model="google/gemini-3-pro", stop="stop", usage=_VERCEL)],
        (9, 0, 0, 52, 20),
    ),
    (
        "anthropic usage inside the delta",
        [
            {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 25, "output_tokens": 1}}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "usage": {"output_tokens": 15}}},
            {"type": "message_stop"},
        ],
        (25, 0, 0, 15, 0),
    ),
    (
        "xai realtime",
        [
            {"type": "response.created", "response": {"id": "r"}},
            {
                "type": "response.done",
                "response": {"id": "r", "usage": {}},
                "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
            },
        ],
        (9, 0, 0, 3, 0),
    ),
    (
        "anthropic session",
        [
            {"type": "session.status_running", "id": "e1"},
            {"type": "span.model_request_end", "id": "e2", "model_usage": {**_CLAUDE, "cache_read_input_tokens": 71}},
            {"type": "span.model_request_end", "id": "e3", "model_usage": {**_CLAUDE, "speed": "standard"}},
            {"type": "session.status_idle", "id": "e4"},
        ],
        (4, 71, 0, 92, 0),
    ),
    ("spark", [_spark(0), _spark(1), _spark(2, question_tokens=4, **_chat(5, 9, 14))], (5, 0, 0, 9, 0)),
    (
        "tgi",
        [
            {"token": {"id": 1}, "generated_text": None, "details": None},
            {"token": {"id": 2}, "generated_text": "x", "details": {**_DETAILS, "input_length": 7}},
        ],
        (7, 0, 0, 20, 0),
    ),
]
