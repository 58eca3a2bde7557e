"""What a call cost, in whole nano-dollars, or None where the price is not known: never 0 for "unknown"."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...runtime.logs import log, once
from ...runtime.settings import PRICES
from ..reading.usage import Missing, Usage

if TYPE_CHECKING:
    from .price_table import Price, PriceTable, Rates

_PICO_PER_NANO = 1000
_MODELS_REMEMBERED = 1024
_MODELS_NAMED = 64
_ALWAYS, _FOREVER = float("-inf"), float("inf")


class _State:
    """The table of this process, read at the first question, and the models already looked up."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table: PriceTable | None = None
        self.known: dict[str, Price | None] = {}
        self.said = 0


_state = _State()


def cost_of(
    model: str | None, usage: Usage | Missing, service_tier: str | None = None, at: float | None = None
) -> int | None:
    """Nano-dollars for `usage` of `model`, rounded half up once; None where any needed price is not known.

    `service_tier` is the reading's (None: standard). `at` is the time of the call in seconds since the epoch, for
    prices with a validity; None is now. A model, part or tier without a price is logged once. Never raises.
    """
    if not isinstance(usage, Usage) or not model:
        return None
    price = _state.known.get(model)
    if price is None:
        if model in _state.known:
            return None
        price = _look_up(model)
        if price is None:
            _say(model, f"no price is known for the model {model!r:.100}: its calls have no cost")
            return None
    if price.valid_from != _ALWAYS or price.valid_until != _FOREVER:
        now = time.time() if at is None else at
        if not price.valid_from <= now < price.valid_until:
            _say(f"{model}|date", f"the price of {model!r:.100} is not valid any more, or not yet")
            return None
    rates = price.rates
    if price.above:
        given = usage.input_tokens
        rates = next((higher for limit, higher in price.above if given > limit), rates)
    pico = _sum(usage, rates)
    if pico is None:
        _say(
            f"{model}|part",
            f"the price of {model!r:.100} lacks cached_input, cache_write or cache_write_1h, which "
            "a call used: such calls have no cost",
        )
        return None
    if service_tier is not None:
        factor = price.service_tiers.get(service_tier)
        if factor is None:
            _say(
                f"{model}|{service_tier}",
                f"no price is known for {model!r:.100} in the service tier "
                f"{service_tier!r:.40}: such calls have no cost",
            )
            return None
        return (2 * pico * factor[0] + _PICO_PER_NANO * factor[1]) // (2 * _PICO_PER_NANO * factor[1])
    return (pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO


def unit_prices(model: str) -> Price | None:
    """The price of `model` as the table has it (pico-dollars per token), with its date and source."""
    return _state.known.get(model) or _look_up(model)


def reload() -> PriceTable:
    """Read the price file again. Raises ConfigError that names file and key; the table in use stays then."""
    from .price_table import load

    own = PRICES.read()
    table = load(Path(own) if own else None)
    with _state.lock:
        _state.table, _state.known = table, {}
    return table


def _sum(usage: Usage, rates: Rates) -> int | None:
    fresh, cached, write, output, reasoning, hour, _ = usage
    total = fresh * (rates[0] or 0) + output * (rates[3] or 0) + reasoning * (rates[4] or 0)
    if cached:
        if rates[1] is None:
            return None
        total += cached * rates[1]
    if write > hour:
        if rates[2] is None:
            return None
        total += (write - hour) * rates[2]
    if hour:
        if rates[5] is None:
            return None
        total += hour * rates[5]
    return total


def _look_up(model: str) -> Price | None:
    table = _state.table or _load()
    found = table.find(model)
    with _state.lock:
        if len(_state.known) >= _MODELS_REMEMBERED:
            _state.known.clear()
        _state.known[model] = found
    return found


def _load() -> PriceTable:
    try:
        return reload()
    except ConfigError as error:
        log.error("%s; going on with the prices that come with the package", error)
        from .price_table import load

        _state.table = load(None)
        return _state.table


def _say(key: str, message: str) -> None:
    """Once for each key, and for a bounded number of them: model names are free text."""
    if _state.said < _MODELS_NAMED:
        _state.said += 1
        once.warn("llm-price:" + key, message + "; name prices of your own in the file that HYPERTOOL_PRICES points to")
