"""What a response says of the bill besides its tokens: a stated cost, audio, web searches, the region."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from .usage import Billing
from .view import view

Bill = Callable[[Any], "Billing | None"]

_MAX_USD = 10**6
_TICKS_PER_NANO = 10  # xAI counts in units of 10**-10 dollars
_US_PERCENT = 110  # Anthropic's surcharge for inference in the United States only
# Google bills a prompt with searches once up to Gemini 2.5, and each search since Gemini 3
# (https://ai.google.dev/gemini-api/docs/pricing).
_ONE_FEE = re.compile(r"gemini-[12](?!\d)")


def of_chat(record: Any) -> Billing | None:
    """OpenAI's chat record, and those who speak it: audio tokens, OpenRouter's and xAI's cost, LiteLLM's searches."""
    fields = view(record)
    get = fields.get
    given, made = get("prompt_tokens_details"), get("completion_tokens_details")
    audio = None if given is None else view(given).get("audio_tokens")
    spoken = None if made is None else view(made).get("audio_tokens")
    if len(fields) == 5 and not audio and not spoken and given is not None and made is not None:
        return None  # the three counts besides are all that such a record has
    tools = get("server_tool_use")
    if not audio and not spoken and tools is None and get("cost") is None and get("cost_in_usd_ticks") is None:
        return None
    searches = _count(view(tools).get("web_search_requests")) if tools is not None else 0
    return _billing(_count(audio), 0, _count(spoken), searches, 100, _stated(view(record)))


def of_responses(record: Any, output: Any = None) -> Billing | None:
    """OpenAI's record of a response, and the web searches among what the response has put out."""
    get = view(record).get
    given, made = get("input_tokens_details"), get("output_tokens_details")
    if given is None:
        given = get("input_token_details")
    if made is None:
        made = get("output_token_details")
    audio = None if given is None else view(given).get("audio_tokens")
    spoken = None if made is None else view(made).get("audio_tokens")
    searches = _searched(output) if output else 0
    if not audio and not spoken and not searches and get("cost") is None and get("cost_in_usd_ticks") is None:
        return None
    cached = _count(view(view(given).get("cached_tokens_details")).get("audio_tokens"))
    return _billing(_count(audio) - cached, cached, _count(spoken), searches, 100, _stated(view(record)))


def _searched(output: Any) -> int:
    """Its web searches. The search tool also opens pages, which costs nothing."""
    if not isinstance(output, (list, tuple)):
        return 0
    total = 0
    for item in map(view, output):
        if item.get("type") == "web_search_call" and item.get("status") != "failed":
            action = item.get("action")
            total += action is None or view(action).get("type") in (None, "search")
    return total


def of_anthropic(record: Any) -> Billing | None:
    """Anthropic's record: web searches, and US-only inference."""
    fields = view(record)
    tools, place = fields.get("server_tool_use"), fields.get("inference_geo")
    if tools is None and place != "us":
        return None
    searches = _count(view(tools).get("web_search_requests")) if tools is not None else 0
    return _billing(0, 0, 0, searches, _US_PERCENT if place == "us" else 100, None)


def of_gemini(record: Any, fees: int = 0) -> Billing | None:
    """Gemini's record, in snake and camel case: the audio in each count; `fees` are those for searches."""
    get = view(record).get
    prompt = get("prompt_tokens_details") or get("promptTokensDetails")
    cache = get("cache_tokens_details") or get("cacheTokensDetails")
    made = get("candidates_tokens_details") or get("candidatesTokensDetails")
    if not (prompt or cache or made or fees):
        return None
    cached = _audio(cache)
    return _billing(_audio(prompt) - cached, cached, _audio(made), fees, 100, None)


def search_fees(model: str | None, searches: int) -> int:
    """How many of `searches` Google bills for one answer of `model`."""
    return min(searches, 1) if model is not None and _ONE_FEE.search(model) else searches


def of_langchain(record: Any) -> Billing | None:
    """LangChain's record: its audio."""
    get = view(record).get
    given, made = get("input_token_details"), get("output_token_details")
    audio = None if given is None else view(given).get("audio")
    spoken = None if made is None else view(made).get("audio")
    return _billing(_count(audio), 0, _count(spoken), 0, 100, None) if audio or spoken else None


def of_pydantic_ai(record: Any) -> Billing | None:
    """pydantic-ai's record: its audio, of which a part was cached."""
    fields = view(record)
    cached = _count(fields.get("cache_audio_read_tokens"))
    audio, spoken = _count(fields.get("input_audio_tokens")), _count(fields.get("output_audio_tokens"))
    return _billing(audio - cached, cached, spoken, 0, 100, None)


def stated(fields: Any) -> Billing | None:
    """A cost that is stated beside a record, and not in it."""
    found = _stated(fields)
    return None if found is None else Billing(stated_nano_usd=found)


def added(bills: Sequence[Billing | None]) -> Billing | None:
    """What several answers have together; their cost is stated where each of them states one."""
    if not any(bills):
        return None
    every = [one or Billing() for one in bills]
    costs = [one.stated_nano_usd for one in every if one.stated_nano_usd is not None]
    audio, cached, spoken, searches = (sum(column) for column in zip(*(one[:4] for one in every), strict=True))
    percent = max(one.percent for one in every)
    return _billing(audio, cached, spoken, searches, percent, sum(costs) if len(costs) == len(every) else None)


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


def _stated(fields: Any) -> int | None:
    """xAI's or OpenRouter's cost in nano-dollars; with a key of one's own, what that key is billed stands beside it."""
    cost = fields.get("cost")
    if cost is None:
        ticks = _count(fields.get("cost_in_usd_ticks"))
        return (ticks + _TICKS_PER_NANO // 2) // _TICKS_PER_NANO if ticks else None
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
        # Compared first: a number of thousands of digits cannot even be written out.
        return int((Decimal(str(cost)) * 10**9).to_integral_value()) if 0 <= cost <= _MAX_USD else None
    except InvalidOperation:
        return None
