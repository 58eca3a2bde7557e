"""Google: the prompt's count has the cache in it, the candidates' count has no thoughts in it (on most models)."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import types
from provider import PROVIDER
from table import Row

# One for all rows: a client without a reference closes itself in the middle of its own call.
_CLIENT = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=PROVIDER.url))


def _client(url: str) -> Any:
    return _CLIENT


def _body(usage: dict[str, Any] | None, text: str = "hello", finish: str | None = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    body = {"candidates": [candidate], "modelVersion": "gemini-2.5-pro", "responseId": "r1"}
    return body if usage is None else {**body, "usageMetadata": usage}


def _ask(usage: dict[str, Any] | None) -> Any:
    return _client(PROVIDER.json(_body(usage))).models.generate_content(model="gemini-2.5-pro", contents="hi")


def _blocked(usage: dict[str, Any]) -> Any:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-2.5-pro", "usageMetadata": usage}
    return _client(PROVIDER.json(body)).models.generate_content(model="gemini-2.5-pro", contents="hi")


def _stream(*bodies: dict[str, Any]) -> Any:
    client = _client(PROVIDER.events(bodies))
    return list(client.models.generate_content_stream(model="gemini-2.5-pro", contents="hi"))


def _tokens(prompt: int, made: int | None, total: int, **more: int) -> dict[str, Any]:
    usage: dict[str, Any] = {"promptTokenCount": prompt, "totalTokenCount": total, **more}
    return usage if made is None else {**usage, "candidatesTokenCount": made}


_IS: dict[str, Any] = {"model": "gemini-2.5-pro", "provider": "gcp.gen_ai"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("STOP",)}
_VERTEX: dict[str, Any] = {**_STOP, "provider": "gcp.vertex_ai"}
_FULL = _tokens(1000, 80, 1700, cachedContentTokenCount=600, thoughtsTokenCount=420, toolUsePromptTokenCount=200)

ROWS = [
    Row("gemini plain", lambda: _ask(_tokens(8, 12, 20)), (8, 0, 0, 12, 0), **_STOP),
    # 1000 prompt (600 of it cached) + 200 tool results: 600 fresh. 80 shown beside 420 thoughts. 1700 in all.
    Row("gemini cache thoughts and tools", lambda: _ask(_FULL), (600, 600, 0, 80, 420), **_STOP),
    # Some Vertex models put the thoughts into the candidates' count: 100 + 500 = 600 says so.
    Row(
        "gemini thoughts inside candidates",
        lambda: _ask(_tokens(100, 500, 600, thoughtsTokenCount=420)),
        (100, 0, 0, 80, 420),
        **_STOP,
    ),
    Row(
        "gemini only thoughts",
        lambda: _ask(_tokens(100, None, 520, thoughtsTokenCount=420)),
        (100, 0, 0, 0, 420),
        **_STOP,
    ),
    Row("gemini blocked prompt", lambda: _blocked(_tokens(8, None, 8)), (8, 0, 0, 0, 0), **_IS),
    Row("gemini no usage", lambda: _ask(None), "no_usage", **_STOP),
    Row(
        "gemini more cached than prompt",
        lambda: _ask(_tokens(8, 12, 20, cachedContentTokenCount=9)),
        "invalid",
        **_STOP,
    ),
    Row(
        "vertex provisioned throughput",
        lambda: _ask({**_tokens(8, 12, 20), "trafficType": "PROVISIONED_THROUGHPUT"}),
        (8, 0, 0, 12, 0),
        **_VERTEX,
        tier="provisioned_throughput",
    ),
    Row(
        "vertex on demand",
        lambda: _ask({**_tokens(8, 12, 20), "trafficType": "ON_DEMAND"}),
        (8, 0, 0, 12, 0),
        **_VERTEX,
    ),
    Row(
        "gemini stream",
        lambda: _stream(
            _body(_tokens(1000, None, 1000), "h", None),
            _body(_tokens(1000, 20, 1220, thoughtsTokenCount=200), "i", None),
            _body(_FULL, "!"),
        ),
        (600, 600, 0, 80, 420),
        **_STOP,
        stream=True,
    ),
    Row(
        "gemini stream cut",
        lambda: _stream(
            _body(_tokens(8, 1, 9), "h", None), _body(_tokens(8, 2, 10), "i", None), _body(_tokens(8, 3, 11), "!")
        ),
        "stream_cut",
        **_IS,
        stream=True,
        cut_after=2,
    ),
    Row(
        "gemini stream without usage",
        lambda: _stream(_body(None, "h", None), _body(None, "i")),
        "no_usage",
        **_STOP,
        stream=True,
    ),
]
