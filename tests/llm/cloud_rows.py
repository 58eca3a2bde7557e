"""Responses of clouds, servers on one's own machine and frameworks with names of their own; see `provider_rows`."""

from __future__ import annotations

from typing import Any

from tests.llm.provider_rows import Row

_OPENAI = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_CAMEL = {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}
_PASCAL = {"PromptTokens": 10, "CompletionTokens": 5, "TotalTokens": 15}
_CAMEL_DETAILS = {"promptTokensDetails": {"cachedTokens": 4}, "completionTokensDetails": {"reasoningTokens": 2}}
_SDK = {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}
_READ = {"noCacheTokens": 50, "cacheReadTokens": 40, "cacheWriteTokens": 10}
_MADE = {"textTokens": 30, "reasoningTokens": 20}
_LLAMA = {"content": "a", "model": "m", "stop": True, "tokens_predicted": 20, "tokens_evaluated": 30}


def _yandex(**more: Any) -> dict[str, Any]:
    return {"result": {"usage": {"inputTextTokens": "10", "completionTokens": "5", "totalTokens": "15", **more}}}


WHOLE: list[Row] = [
    ("cloudflare", {"result": {"usage": _OPENAI}, "success": True, "messages": []}, (10, 0, 0, 5, 0)),
    ("oracle", {"modelId": "m", "chatResponse": {"usage": _CAMEL}}, (10, 0, 0, 5, 0)),
    ("oracle details", {"chatResponse": {"usage": {**_CAMEL, **_CAMEL_DETAILS}}}, (6, 4, 0, 3, 2)),
    ("oracle python", {"model_id": "m", "chat_response": {"usage": _OPENAI}}, (10, 0, 0, 5, 0)),
    ("sap v1", {"orchestration_result": {"choices": [], "usage": _OPENAI}}, (10, 0, 0, 5, 0)),
    ("sap v2", {"final_result": {"choices": [], "usage": _OPENAI}}, (10, 0, 0, 5, 0)),
    ("hunyuan", {"Response": {"Id": "a", "Usage": _PASCAL}}, (10, 0, 0, 5, 0)),
    ("hunyuan inner", {"Id": "a", "Usage": _PASCAL, "Choices": [{"FinishReason": "stop"}]}, (10, 0, 0, 5, 0)),
    ("yandex digits", _yandex(), (10, 0, 0, 5, 0)),
    ("yandex reasoning", _yandex(completionTokensDetails={"reasoningTokens": "2"}), (10, 0, 0, 3, 2)),
    ("yandex no digits", _yandex(totalTokens="many"), "invalid"),
    ("ai sdk 4", {"text": "a", "usage": _CAMEL}, (10, 0, 0, 5, 0)),
    # Whether version 5 counts the cache in the input depends on the provider: nothing in the record shows it.
    ("ai sdk 5 cache", {"text": "a", "usage": {**_SDK, "cachedInputTokens": 40}}, "unrecognised"),
    (
        "ai sdk 6",
        {"text": "a", "usage": {**_SDK, "inputTokenDetails": _READ, "outputTokenDetails": _MADE}},
        (50, 40, 10, 30, 20),
    ),
    (
        "ai sdk 6 unknown cache",
        {"text": "a", "usage": {**_SDK, "inputTokenDetails": {"cacheOtherTokens": 7}}},
        "unrecognised",
    ),
    (
        "ai sdk model",
        {
            "usage": {
                "inputTokens": {"total": 100, "noCache": 50, "cacheRead": 40, "cacheWrite": 10},
                "outputTokens": {"total": 50, "text": 30, "reasoning": 20},
            }
        },
        (50, 40, 10, 30, 20),
    ),
    ("llama.cpp", _LLAMA, (30, 0, 0, 20, 0)),
    ("llama.cpp cache", {**_LLAMA, "timings": {"cache_n": 25, "prompt_n": 5}}, (5, 25, 0, 20, 0)),
    ("llama.cpp cache above", {**_LLAMA, "timings": {"cache_n": 31}}, "invalid"),
    (
        "lm studio",
        {"output": [], "stats": {"input_tokens": 10, "total_output_tokens": 5, "reasoning_output_tokens": 2}},
        (10, 0, 0, 3, 2),
    ),
    ("haystack", {"replies": [{"meta": {"model": "m", "usage": _OPENAI}}]}, (10, 0, 0, 5, 0)),
    ("semantic kernel", {"role": "assistant", "metadata": {"id": "a", "usage": _OPENAI}}, (10, 0, 0, 5, 0)),
    ("semantic kernel raw", {"inner_content": {"choices": [], "usage": _OPENAI}, "metadata": {}}, (10, 0, 0, 5, 0)),
    ("smolagents", {"content": "a", "token_usage": {"input_tokens": 10, "output_tokens": 5}}, (10, 0, 0, 5, 0)),
    (
        "agno",
        {"content": "a", "metrics": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}},
        (10, 0, 0, 5, 0),
    ),
]

STREAMS: list[Row] = [
    (
        "llama.cpp",
        [
            {"content": "a", "stop": False, "tokens_predicted": 1, "tokens_evaluated": 30},
            {"content": "b", "stop": False, "tokens_predicted": 2, "tokens_evaluated": 30},
            {"content": "", "stop": True, "tokens_predicted": 2, "tokens_evaluated": 30},
        ],
        (30, 0, 0, 2, 0),
    ),
]
