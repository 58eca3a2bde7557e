"""What a response says of its bill besides tokens reaches the cost: audio, searches, region, a stated cost."""

from __future__ import annotations

from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm import extract
from hypertool.llm.reading.usage import Billing
from tests.llm.calls import CHAT, counted

CLAUDE = {
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "id": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 100},
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "candidates": [],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
}


def _with(response: dict[str, Any], key: str, **more: Any) -> dict[str, Any]:
    return {**response, key: {**response[key], **more}}


@pytest.mark.parametrize(
    ("response", "billing", "nano"),
    [
        (_with(CHAT, "usage", cost=0.0123), Billing(stated_nano_usd=12_300_000), 12_300_000),
        (
            _with(CHAT, "usage", cost=0.001, is_byok=True, cost_details={"upstream_inference_cost": 0.02}),
            Billing(stated_nano_usd=21_000_000),
            21_000_000,
        ),
        (_with(CLAUDE, "usage", server_tool_use={"web_search_requests": 3}), Billing(web_searches=3), 34_500_000),
        (_with(CLAUDE, "usage", inference_geo="us"), Billing(percent=110), 4_950_000),
        (_with(CLAUDE, "usage", inference_geo="global"), None, 4_500_000),
        (
            _with(GEMINI, "usageMetadata", promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 400}]),
            Billing(audio_input=400),
            180_000 + 400_000 + 250_000,
        ),
    ],
    ids=["stated", "own_key", "searches", "region", "no_region", "audio"],
)
def test_bill_is_read_and_priced(
    metrics: PersonaMetricsCollector, response: dict[str, Any], billing: Billing | None, nano: int
) -> None:
    """The reading has it, and the cost counted is right to the nano-dollar."""
    assert extract(response).billing == billing
    ObservableLLM(lambda prompt: response, "m", metrics=metrics)("x")
    assert counted(metrics, "usd") == {("unknown", "m"): nano}


@pytest.mark.parametrize("cost", [-1, float("nan"), float("inf"), True, "0.1", {"total_cost": 1}, 1e9], ids=str)
def test_impossible_stated_cost_is_not_believed(metrics: PersonaMetricsCollector, cost: Any) -> None:
    """Then the price table counts."""
    ObservableLLM(lambda prompt: _with(CHAT, "usage", cost=cost), "m", metrics=metrics)("x")
    assert counted(metrics, "usd") == {("unknown", "m"): 450_000}
