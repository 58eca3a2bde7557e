"""What a price is: whole pico-dollars per token for each part of a usage, when it holds, and where it is from."""

from __future__ import annotations

import datetime
from typing import NamedTuple


class Rates(NamedTuple):
    """Pico-dollars per token for each part; None where there is no price."""

    input: int | None
    cached_input: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    cache_write_1h: int | None


class Extras(NamedTuple):
    """What is billed apart: pico-dollars per audio token, web search and call; None where there is no price."""

    audio_input: int | None
    audio_cached: int | None
    audio_output: int | None
    web_search: int | None
    call: int | None = None


class Price(NamedTuple):
    """What a model costs. `above` are (input tokens, rates of the whole call where it has more), highest first.

    `service_tiers` are factors, `tier_rates` are rates and `above` of a tier that has prices of its own.
    """

    name: str
    rates: Rates
    above: tuple[tuple[int, Rates], ...]
    service_tiers: dict[str, tuple[int, int]]
    valid_from: float
    valid_until: float
    as_of: datetime.date
    source: str
    tier_rates: dict[str, tuple[Rates, tuple[tuple[int, Rates], ...]]] = {}  # noqa: RUF012
    extras: Extras | None = None
    hours: tuple[int, int] | None = None  # seconds after midnight UTC between which it holds, None: all day
