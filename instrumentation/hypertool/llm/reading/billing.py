"""The billing details of a usage record besides its tokens: stated cost, audio, web searches, region."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from .usage import Billing
from .view import view

_MAX_USD = 10**6
_US_PERCENT = 110  # of the list price: Anthropic's US-only inference


def of_chat(record: Any) -> Billing | None:
    """OpenAI's chat record and compatible ones: audio tokens, OpenRouter's cost, LiteLLM's count of searches."""
    fields = view(record)
    given, made = fields.get("prompt_tokens_details"), fields.get("completion_tokens_details")
    audio = _count(view(given).get("audio_tokens")) if given is not None else 0
    spoken = _count(view(made).get("audio_tokens")) if made is not None else 0
    stated = fields.get("cost")
    tools = fields.get("server_tool_use")
    if not (audio or spoken) and stated is None and tools is None:
        return None
    searches = _count(view(tools).get("web_search_requests")) if tools is not None else 0
    return _billing(audio, 0, spoken, searches, 100, _stated(stated, fields))


def of_anthropic(record: Any) -> Billing | None:
    """Anthropic's record: web searches, and US-only inference."""
    fields = view(record)
    tools, place = fields.get("server_tool_use"), fields.get("inference_geo")
    if tools is None and place != "us":
        return None
    searches = _count(view(tools).get("web_search_requests")) if tools is not None else 0
    return _billing(0, 0, 0, searches, _US_PERCENT if place == "us" else 100, None)


def of_gemini(record: Any) -> Billing | None:
    """Gemini's record, in snake and camel case: the audio tokens in each count."""
    fields = view(record)
    found = [
        _audio(fields.get(snake) or fields.get(camel))
        for snake, camel in (
            ("prompt_tokens_details", "promptTokensDetails"),
            ("cache_tokens_details", "cacheTokensDetails"),
            ("candidates_tokens_details", "candidatesTokensDetails"),
        )
    ]
    return _billing(found[0] - found[1], found[1], found[2], 0, 100, None) if any(found) else None


def _audio(details: Any) -> int:
    if not isinstance(details, Iterable) or isinstance(details, (str, dict)):
        return 0
    total = 0
    for detail in map(view, details):
        modality = detail.get("modality")
        if str(getattr(modality, "value", modality)).upper() == "AUDIO":
            total += _count(detail.get("token_count") or detail.get("tokenCount"))
    return total


def _billing(audio: int, cached: int, spoken: int, searches: int, percent: int, stated: int | None) -> Billing | None:
    found = Billing(max(audio, 0), cached, spoken, searches, percent, stated)
    return found if found != Billing() else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value <= 10**12 else 0


def _stated(cost: Any, fields: Any) -> int | None:
    """OpenRouter's cost in nano-dollars; with the user's own key (BYOK), plus the upstream cost billed to that key."""
    nano = _nano(cost)
    if nano is None or not fields.get("is_byok"):
        return nano
    details = fields.get("cost_details")
    upstream = _nano(view(details).get("upstream_inference_cost")) if details is not None else None
    return nano + upstream if upstream is not None else None


def _nano(cost: Any) -> int | None:
    if isinstance(cost, bool) or not isinstance(cost, (int, float, Decimal)):
        return None
    try:
        dollars = Decimal(str(cost))
        return int((dollars * 10**9).to_integral_value()) if 0 <= dollars <= _MAX_USD else None
    except InvalidOperation:
        return None
