"""Responses whose cost is more than their tokens, each with the nano-dollars that it costs.

The prices are those of the table for gpt-4o ($2.50 in, $10 out, $10 per 1,000 searches), gpt-realtime (audio $32 in,
$0.40 cached, $64 out), Claude Sonnet 4.5 ($3, $15, $10 per 1,000 searches), Gemini 2.5 Flash ($0.30, $2.50, audio $1,
$35 per 1,000 prompts with searches) and Gemini 3 Pro ($2, $12, $14 per 1,000 searches).
"""

from __future__ import annotations

from typing import Any

Billed = tuple[str, Any, "int | None"]


def _chat(identity: str = "c1", model: str = "gpt-4o", **usage: Any) -> dict[str, Any]:
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return {
        "object": "chat.completion",
        "id": identity,
        "model": model,
        "choices": [{"finish_reason": "stop"}],
        "usage": {**tokens, **usage},
    }


def _claude(identity: str = "m1", **usage: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "id": identity,
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1000, "output_tokens": 100, **usage},
    }


def _response(output: Any = (), model: str = "gpt-4o", **usage: Any) -> dict[str, Any]:
    tokens = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    return {
        "object": "response",
        "id": "r1",
        "model": model,
        "status": "completed",
        "output": list(output),
        "usage": {**tokens, **usage},
    }


def _gemini(model: str = "gemini-2.5-flash", queries: Any = None, **usage: Any) -> dict[str, Any]:
    tokens = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    grounding = {} if queries is None else {"groundingMetadata": {"webSearchQueries": queries}}
    return {
        "responseId": "g1",
        "modelVersion": model,
        "candidates": [{"finishReason": "STOP", **grounding}],
        "usageMetadata": {**tokens, **usage},
    }


def _chain(about: dict[str, Any], **usage: Any) -> dict[str, Any]:
    tokens = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    return {
        "type": "ai",
        "id": "run-1",
        "response_metadata": {"model_name": "gpt-4o", "finish_reason": "stop", **about},
        "usage_metadata": {**tokens, **usage},
    }


def _search(kind: str | None = "search", **more: Any) -> dict[str, Any]:
    return {"type": "web_search_call", "status": "completed", **({"action": {"type": kind}} if kind else {}), **more}


_TEXT = 100 * 2500 + 20 * 10_000
_CLAUDE = 1000 * 3000 + 100 * 15_000
_FLASH = 1000 * 300 + 100 * 2500
_PRO = 1000 * 2000 + 100 * 12_000
_AUDIO = [{"modality": "AUDIO", "tokenCount": 400}]

BILLED: list[Billed] = [
    ("chat plain", _chat(), _TEXT),
    ("chat stated", _chat(cost=0.0123), 12_300_000),
    ("chat stated as nothing", _chat(cost=0), 0),
    ("chat stated for no known model", _chat(model="nobody/knows", cost=0.0123), 12_300_000),
    (
        "chat own key",
        _chat(cost=0.001, is_byok=True, cost_details={"upstream_inference_cost": 0.02}),
        21_000_000,
    ),
    ("chat own key at an unknown price", _chat(cost=0.001, is_byok=True), _TEXT),
    ("chat ticks", _chat(cost_in_usd_ticks=318_319_004), 31_831_900),
    ("chat impossible ticks", _chat(cost_in_usd_ticks=-5), _TEXT),
    (
        "chat audio",
        _chat(
            model="gpt-realtime",
            prompt_tokens_details={"audio_tokens": 60, "cached_tokens": 0},
            completion_tokens_details={"audio_tokens": 15},
        ),
        40 * 4000 + 60 * 32_000 + 5 * 16_000 + 15 * 64_000,
    ),
    ("chat searches", _chat(server_tool_use={"web_search_requests": 2}), _TEXT + 20_000_000),
    ("chat flex", {**_chat(model="gpt-5"), "service_tier": "flex"}, (100 * 1250 + 20 * 10_000) // 2),
    ("claude searches", _claude(server_tool_use={"web_search_requests": 3}), _CLAUDE + 30_000_000),
    ("claude region", _claude(inference_geo="us"), _CLAUDE * 110 // 100),
    (
        "claude searches in a region",
        _claude(inference_geo="us", server_tool_use={"web_search_requests": 1}),
        _CLAUDE * 110 // 100 + 10_000_000,
    ),
    ("claude batch tier", _claude(service_tier="batch"), _CLAUDE // 2),
    ("response stated", _response(cost=0.0123, cost_details={"upstream_inference_cost": None}), 12_300_000),
    ("response ticks", _response(model="grok-4", cost_in_usd_ticks=123_450), 12_345),
    (
        "response searches",
        _response([_search(), _search(None), _search("open_page"), _search(status="failed"), {"type": "message"}]),
        _TEXT + 20_000_000,
    ),
    ("response searches without a price", _response([_search()], "o1"), None),
    (
        "realtime audio",
        {
            **_response(
                model="gpt-realtime",
                input_token_details={
                    "audio_tokens": 60,
                    "cached_tokens": 50,
                    "cached_tokens_details": {"audio_tokens": 30, "text_tokens": 20},
                },
                output_token_details={"audio_tokens": 15},
            ),
            "object": "realtime.response",
        },
        20 * 4000 + 30 * 32_000 + 20 * 400 + 30 * 400 + 5 * 16_000 + 15 * 64_000,
    ),
    ("gemini audio", _gemini(promptTokensDetails=_AUDIO), _FLASH + 400 * 700),
    (
        "gemini cached audio",
        _gemini(promptTokensDetails=_AUDIO, cachedContentTokenCount=400, cacheTokensDetails=_AUDIO),
        600 * 300 + 400 * 100 + 100 * 2500,
    ),
    ("gemini prompt with searches", _gemini(queries=["a", "b", "a"]), _FLASH + 35_000_000),
    ("gemini no searches", _gemini(queries=[]), _FLASH),
    ("gemini empty search", _gemini(queries=[""]), _FLASH),
    ("gemini each search", _gemini("gemini-3-pro-preview", ["a", "b", "a"]), _PRO + 28_000_000),
    ("gemini searches without a price", _gemini("gemini-2.0-flash-lite", ["a"]), None),
    ("langchain stated", _chain({"cost": 0.0123}), 12_300_000),
    (
        "langchain audio",
        _chain({"model_name": "gpt-realtime"}, input_token_details={"audio": 60}, output_token_details={"audio": 15}),
        40 * 4000 + 60 * 32_000 + 5 * 16_000 + 15 * 64_000,
    ),
    (
        "pydantic-ai audio",
        {
            "model_name": "gpt-realtime",
            "usage": {
                "input_tokens": 100,
                "input_audio_tokens": 60,
                "cache_read_tokens": 50,
                "cache_audio_read_tokens": 30,
                "output_tokens": 20,
                "output_audio_tokens": 15,
                "details": {},
            },
        },
        20 * 4000 + 30 * 32_000 + 20 * 400 + 30 * 400 + 5 * 16_000 + 15 * 64_000,
    ),
    ("two stated", [_chat("a", cost=0.001), _chat("b", cost=0.002)], 3_000_000),
    ("one of two stated", [_chat("a", cost=0.001), _chat("b")], 1_000_000 + _TEXT),
    ("two models", [_chat("a"), _chat("b", "gpt-5")], _TEXT + 100 * 1250 + 20 * 10_000),
    ("one of two without a price", [_chat("a"), _chat("b", "nobody/knows")], None),
    (
        "one of two in a region",
        [_claude("a", inference_geo="us"), _claude("b", server_tool_use={"web_search_requests": 1})],
        _CLAUDE * 110 // 100 + _CLAUDE + 10_000_000,
    ),
    (
        "two below a threshold",
        [_claude(one, input_tokens=150_000) for one in "ab"],
        2 * (150_000 * 3000 + 100 * 15_000),
    ),
]
