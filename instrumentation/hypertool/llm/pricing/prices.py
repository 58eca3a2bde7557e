"""The types of a price: whole pico-dollars per token for each part of a usage, period of validity, and source."""

from __future__ import annotations

import datetime
from typing import NamedTuple


class Rates(NamedTuple):
    """Pico-dollars per token for each part; None for a part without a price."""

    input: int | None
    cached_input: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    cache_write_1h: int | None


class Extras(NamedTuple):
    """Separately billed items: pico-dollars per audio token, web search and call; None for an item without a price."""

    audio_input: int | None
    audio_cached: int | None
    audio_output: int | None
    web_search: int | None
    call: int | None = None


class Price(NamedTuple):
    """The price of a model. `above` holds (input tokens, rates of a whole call with more input), highest first.

    `service_tiers` holds factors, `tier_rates` the rates and `above` of tiers with prices of their own.
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
    hours: tuple[int, int] | None = None  # valid between these seconds after midnight UTC; None: all day
