"""OpenAI: chat completions, responses, embeddings; and what other servers send through the same SDK."""

from __future__ import annotations

from typing import Any

from chats import chat_tokens as _tokens
from openai import OpenAI
from provider import PROVIDER
from table import Row

_ASK: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}


def _client(url: str) -> OpenAI:
    return OpenAI(api_key="none", base_url=url, max_retries=0)


def _completion(usage: dict[str, Any] | None, choices: int = 1, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hello"}
    made = [{"index": i, "finish_reason": "stop", "logprobs": None, "message": message} for i in range(choices)]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "gpt-5-2025-08-07",
        "choices": made,
        **more,
    }
    return body if usage is None else {**body, "usage": usage}


def _chat(usage: dict[str, Any] | None, **more: Any) -> Any:
    return _client(PROVIDER.json(_completion(usage, **more))).chat.completions.create(**_ASK)


def _piece(content: str | None, finish: str | None = None, usage: Any = None, choices: bool = True) -> dict[str, Any]:
    made = [{"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}] if choices else []
    return {
        "id": "chatcmpl-2",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "gpt-5-2025-08-07",
        "choices": made,
        "usage": usage,
    }


def _stream(*pieces: dict[str, Any]) -> Any:
    return _client(PROVIDER.events(pieces, done=True)).chat.completions.create(**_ASK, stream=True)


def _helper(*pieces: dict[str, Any]) -> Any:
    with _client(PROVIDER.events(pieces, done=True)).chat.completions.stream(**_ASK) as stream:
        return list(stream)


def _response(usage: dict[str, Any] | None, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1760000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-2025-08-07",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        **more,
    }


def _respond(usage: dict[str, Any] | None, **more: Any) -> Any:
    client = _client(PROVIDER.json(_response(usage, **more)))
    return client.responses.create(model="gpt-5", input="hi")


def _response_stream(last: str | None, usage: dict[str, Any] | None, status: str = "completed") -> Any:
    events = [
        {"type": "response.created", "sequence_number": 0, "response": _response(None, "in_progress")},
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "i",
            "output_index": 0,
            "content_index": 0,
            "delta": "hel",
            "logprobs": [],
        },
    ]
    if last:
        events.append({"type": last, "sequence_number": 2, "response": _response(usage, status)})
    return _client(PROVIDER.events(events, named=True)).responses.create(model="gpt-5", input="hi", stream=True)


def _response_helper(usage: dict[str, Any]) -> Any:
    events = [
        {"type": "response.created", "sequence_number": 0, "response": _response(None, "in_progress")},
        {"type": "response.completed", "sequence_number": 1, "response": _response(usage)},
    ]
    client = _client(PROVIDER.events(events, named=True))
    with client.responses.stream(model="gpt-5", input="hi") as stream:
        return list(stream)


def _text(stream: bool) -> Any:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-5-2025-08-07",
        "choices": [{"index": 0, "text": "hello", "finish_reason": "stop", "logprobs": None}],
    }
    url = (
        PROVIDER.events([body, {**body, "choices": [], "usage": usage}], done=True)
        if stream
        else PROVIDER.json({**body, "usage": usage})
    )
    return _client(url).completions.create(model="gpt-5", prompt="hi", stream=stream)


def _embeddings() -> Any:
    body = {
        "object": "list",
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
    }
    return _client(PROVIDER.json(body)).embeddings.create(
        model="text-embedding-3-small", input="hi", encoding_format="float"
    )


def _bare(prompt: int, completion: int, total: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _response_tokens(given: int, made: int, cached: int, written: int, reasoning: int) -> dict[str, Any]:
    counts = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    return {**counts, "input_tokens_details": details, "output_tokens_details": {"reasoning_tokens": reasoning}}


def _growing() -> list[dict[str, Any]]:
    return [
        _piece("a", usage=_tokens(10, 1, 11)),
        _piece("b", usage=_tokens(10, 2, 12)),
        _piece(None, "stop", usage=_tokens(10, 3, 13)),
    ]


_IS = {"model": "gpt-5-2025-08-07", "provider": "openai"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("stop",)}
_DONE: dict[str, Any] = {**_IS, "reasons": ("completed",)}

ROWS = [
    # 1200 in, of which 1024 from the cache: 176 fresh. 300 out, of which 192 thought: 108 shown.
    Row(
        "openai chat cached and reasoning",
        lambda: _chat(_tokens(1200, 300, 1500, 1024, 192)),
        (176, 1024, 0, 108, 192),
        **_STOP,
    ),
    Row("openai chat plain", lambda: _chat(_tokens(19, 10, 29)), (19, 0, 0, 10, 0), **_STOP),
    # 3207 written of 3300: 93 fresh; the write is inside the prompt's count.
    Row(
        "openai chat cache write",
        lambda: _chat(_tokens(3300, 40, 3340, cache_write_tokens=3207)),
        (93, 0, 3207, 40, 0),
        **_STOP,
    ),
    Row("openai chat without details", lambda: _chat(_bare(7, 3, 10)), (7, 0, 0, 3, 0), **_STOP),
    Row(
        "openai chat two choices",
        lambda: _chat(_tokens(19, 20, 39), choices=2),
        (19, 0, 0, 20, 0),
        **_IS,
        reasons=("stop", "stop"),
    ),
    Row(
        "openai chat flex tier",
        lambda: _chat(_tokens(19, 10, 29), service_tier="flex"),
        (19, 0, 0, 10, 0),
        **_STOP,
        tier="flex",
    ),
    Row(
        "openai chat default tier",
        lambda: _chat(_tokens(19, 10, 29), service_tier="default"),
        (19, 0, 0, 10, 0),
        **_STOP,
    ),
    Row("openai chat no usage", lambda: _chat(None), "no_usage", **_STOP),
    Row("openai chat usage of zeros", lambda: _chat(_tokens(0, 0, 0)), "no_usage", **_STOP),
    Row("openai chat negative count", lambda: _chat(_tokens(-5, 10, 5)), "invalid", **_STOP),
    Row("openai chat more cached than given", lambda: _chat(_tokens(10, 5, 15, 20)), "invalid", **_STOP),
    Row(
        "openai chat count as text",
        lambda: _chat({"prompt_tokens": "many", "completion_tokens": 3}),
        "invalid",
        **_STOP,
    ),
    Row("openai chat half a count", lambda: _chat({"prompt_tokens": 7}), "invalid", **_STOP),
    # xAI: reasoning is beside the 9 shown; 32 + 9 + 233 = 274.
    Row("xai chat reasoning beside", lambda: _chat(_tokens(32, 9, 274, 6, 233)), (26, 6, 0, 9, 233), **_STOP),
    # Gemini behind OpenAI's API: 8 + 12 + 80 without details = 100.
    Row("gemini compatible thinking in total only", lambda: _chat(_bare(8, 12, 100)), (8, 0, 0, 12, 80), **_STOP),
    Row(
        "deepseek chat cache hit",
        lambda: _chat({**_bare(100, 5, 105), "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}),
        (36, 64, 0, 5, 0),
        **_STOP,
    ),
    Row(
        "openai stream include_usage",
        lambda: _stream(
            _piece("hel"),
            _piece("lo"),
            _piece(None, "stop"),
            _piece(None, usage=_tokens(1200, 300, 1500, 1024, 192), choices=False),
        ),
        (176, 1024, 0, 108, 192),
        **_STOP,
        stream=True,
    ),
    Row(
        "openai stream without include_usage",
        lambda: _stream(_piece("hel"), _piece(None, "stop")),
        "no_usage",
        **_STOP,
        stream=True,
    ),
    Row(
        "openai stream cut",
        lambda: _stream(_piece("hel"), _piece("lo"), _piece("!")),
        "stream_cut",
        **_IS,
        stream=True,
        cut_after=1,
    ),
    # vLLM's continuous_usage_stats: each chunk has the count so far, the last one is the call's.
    Row(
        "growing usage on every chunk",
        lambda: _stream(*_growing()),
        (10, 0, 0, 3, 0),
        **_STOP,
        stream=True,
    ),
    Row(
        "growing usage cut",
        lambda: _stream(*_growing()),
        "stream_cut",
        **_IS,
        stream=True,
        cut_after=2,
    ),
    Row(
        "openai stream helper events",
        lambda: _helper(_piece("hel"), _piece(None, "stop"), _piece(None, usage=_tokens(19, 10, 29), choices=False)),
        (19, 0, 0, 10, 0),
        **_STOP,
        stream=True,
    ),
    # 2000 in: 1500 cached, 300 written, 200 fresh. 700 out: 640 thought, 60 shown.
    Row(
        "openai responses",
        lambda: _respond(_response_tokens(2000, 700, 1500, 300, 640)),
        (200, 1500, 300, 60, 640),
        **_DONE,
    ),
    Row(
        "openai responses incomplete",
        lambda: _respond(
            _response_tokens(50, 16, 0, 0, 16), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
        ),
        (50, 0, 0, 0, 16),
        **_IS,
        reasons=("max_output_tokens",),
    ),
    Row(
        "openai responses without usage",
        lambda: _respond(None, status="queued"),
        "no_usage",
        **_IS,
        reasons=("queued",),
    ),
    Row(
        "openai responses stream",
        lambda: _response_stream("response.completed", _response_tokens(2000, 700, 1500, 300, 640)),
        (200, 1500, 300, 60, 640),
        **_DONE,
        stream=True,
    ),
    Row(
        "openai responses stream failed",
        lambda: _response_stream("response.failed", None, "failed"),
        "no_usage",
        **_IS,
        reasons=("failed",),
        stream=True,
    ),
    Row(
        "openai responses stream without an end", lambda: _response_stream(None, None), "stream_cut", **_IS, stream=True
    ),
    Row(
        "openai responses stream helper",
        lambda: _response_helper(_response_tokens(2000, 700, 1500, 300, 640)),
        (200, 1500, 300, 60, 640),
        **_DONE,
        stream=True,
    ),
    Row("openai text completion", lambda: _text(False), (7, 0, 0, 3, 0), **_STOP),
    Row("openai text completion stream", lambda: _text(True), (7, 0, 0, 3, 0), **_STOP, stream=True),
    Row("openai embeddings", _embeddings, (9, 0, 0, 0, 0), model="text-embedding-3-small", provider="openai"),
]
