"""The cost of a call in whole nano-dollars, or None if the price is unknown; 0 never means "unknown"."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...runtime.logs import log, once
from ...runtime.settings import PRICES
from ..reading.usage import Billing, Missing, Reading, Usage
from .prices import Extras, Price, Rates

if TYPE_CHECKING:
    from .generated import GeneratedTable
    from .price_table import PriceTable

_PICO_PER_NANO = 1000
# The vendors whose own endpoints `prices.toml` covers; every other provider has its own prices.
VENDORS = frozenset({"openai", "anthropic", "google", "mistral"})
_MODELS_REMEMBERED = 1024
_MODELS_NAMED = 64
_ALWAYS, _FOREVER = float("-inf"), float("inf")


class _State:
    """The price tables of this process, read at the first look-up, and the models already looked up.

    A model has one price, several that are valid at different times, or none.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table: PriceTable | None = None
        self.generated: GeneratedTable | None = None
        self.known: dict[str | tuple[str, str], Price | tuple[Price, ...] | None] = {}
        # The rates of the models of `known` whose standard price is always valid and the same for every call.
        self.plain: dict[str | tuple[str, str], Rates] = {}
        self.said = 0


_state = _State()


def cost_of(
    model: str | None,
    usage: Usage | Missing,
    service_tier: str | None = None,
    at: float | None = None,
    provider: str | None = None,
    billing: Billing | None = None,
) -> int | None:
    """Nano-dollars for `usage` of `model`, rounded half up once; None if any needed price is unknown.

    `service_tier`, `provider` and `billing` come from the reading (None: standard tier, unknown provider, no further
    billing details). `at` is the time of the call in seconds since the epoch, for prices with a period of validity;
    None means now. A model, part or tier without a price is logged once. A cost stated by the provider takes
    precedence over the tables. Never raises.
    """
    if not isinstance(usage, Usage) or not model:
        return None
    if billing is not None and billing.stated_nano_usd is not None:
        return billing.stated_nano_usd
    key = model if provider is None else (provider, model)
    if billing is None and service_tier is None:
        rates = _state.plain.get(key)
        if rates is not None:
            fresh, cached, write, output, reasoning, _, _ = usage
            if not write and rates[1] is not None:  # what `_sum` makes of most calls
                usual = fresh * (rates[0] or 0) + cached * rates[1] + output * (rates[3] or 0)
                if reasoning:
                    usual += reasoning * (rates[4] or 0)
                return (usual + _PICO_PER_NANO // 2) // _PICO_PER_NANO
            pico = _sum(usage, rates)
            if pico is not None:
                return (pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO
    price = _state.known.get(key)
    if price is None:
        if key in _state.known:
            return None
        price = _look_up(model, provider)
        if price is None:
            _say(model, f"no price is known for the model {model!r:.100}: its calls have no cost")
            return None
    if type(price) is not Price:
        price = _at(price, time.time() if at is None else at)  # type: ignore[arg-type]  # here it is a tuple
    elif price.valid_from != _ALWAYS or price.valid_until != _FOREVER:
        now = time.time() if at is None else at
        if not price.valid_from <= now < price.valid_until:
            _say(f"{model}|date", f"the price of {model!r:.100} is not valid any more, or not yet")
            return None
    rates, above = price.rates, price.above
    factor = None
    if service_tier is not None:
        own = price.tier_rates.get(service_tier)
        if own is not None:
            rates, above = own
        else:
            factor = price.service_tiers.get(service_tier)
            if factor is None:
                _say(
                    f"{model}|{service_tier}",
                    f"no price is known for {model!r:.100} in the service tier "
                    f"{service_tier!r:.40}: such calls have no cost",
                )
                return None
    if above:
        given = usage.input_tokens
        rates = next((higher for limit, higher in above if given > limit), rates)
    pico = _sum(usage, rates)
    extras = price.extras
    if pico is not None and extras is not None and extras.call is not None:
        pico += extras.call
    if pico is not None and billing is not None:
        pico = _with_billing(pico, rates, extras, billing)
    if pico is None:
        _say(
            f"{model}|part",
            f"the price of {model!r:.100} lacks a part (cached_input, cache_write, cache_write_1h, web search) that "
            "a call used: such calls have no cost",
        )
        return None
    if factor is None:
        return (pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO
    return (2 * pico * factor[0] + _PICO_PER_NANO * factor[1]) // (2 * _PICO_PER_NANO * factor[1])


def cost_of_parts(parts: Iterable[Reading], model: str) -> int | None:
    """The sum of the costs of several answers; `model` is whose they are where they do not tell."""
    total = 0
    for part in parts:
        nano = cost_of(part.model or model, part.usage, part.service_tier, None, part.provider, part.billing)
        if nano is None:
            return None
        total += nano
    return total


def _at(prices: tuple[Price, ...], now: float) -> Price:
    """The last price that is valid at `now` (seconds since the epoch), else the first."""
    clock = now % 86_400
    for price in reversed(prices):
        if price.valid_from <= now and (price.hours is None or _within(price.hours, clock)):
            return price
    return prices[0]


def _within(hours: tuple[int, int], clock: float) -> bool:
    start, end = hours
    return start <= clock < end if start <= end else clock >= start or clock < end


def _with_billing(pico: int, rates: Rates, extras: Extras | None, billing: Billing) -> int | None:
    """Add audio at its own price instead of the text price, the regional surcharge, and the provider's web searches."""
    if extras is not None:
        for tokens, own, as_text in (
            (billing.audio_input, extras.audio_input, rates.input),
            (billing.audio_cached, extras.audio_cached, rates.cached_input),
            (billing.audio_output, extras.audio_output, rates.output),
        ):
            if tokens and own is not None:
                pico += tokens * (own - (as_text or 0))
    pico = pico * billing.percent // 100
    if billing.web_searches:
        if extras is None or extras.web_search is None:
            return None
        pico += billing.web_searches * extras.web_search
    return pico


def unit_prices(model: str, provider: str | None = None) -> Price | None:
    """The price of `model` that is valid now (pico-dollars per token), with its date and source."""
    key = model if provider is None else (provider, model)
    price = _state.known.get(key) or _look_up(model, provider)
    return _at(price, time.time()) if price is not None and not isinstance(price, Price) else price


def reload() -> PriceTable:
    """Read the price file again. Raises ConfigError naming file and key; the table in use then stays."""
    from .price_table import load

    own = PRICES.read()
    table = load(Path(own) if own else None)
    with _state.lock:
        _state.table, _state.generated, _state.known, _state.plain = table, None, {}, {}
    return table


def _sum(usage: Usage, rates: Rates) -> int | None:
    fresh, cached, write, output, reasoning, hour, _ = usage
    total = fresh * (rates[0] or 0) + output * (rates[3] or 0)
    if reasoning:
        total += reasoning * (rates[4] or 0)
    if cached:
        if rates[1] is None:
            return None
        total += cached * rates[1]
    if write:
        if write > hour:
            if rates[2] is None:
                return None
            total += (write - hour) * rates[2]
        if hour:
            if rates[5] is None:
                return None
            total += hour * rates[5]
    return total


def _look_up(model: str, provider: str | None = None) -> Price | tuple[Price, ...] | None:
    """Search the user's own file, then our checked prices of the vendors' endpoints, then the generated table."""
    table = _state.table or _load()
    found: Price | tuple[Price, ...] | None = table.find_own(model)
    if found is None and not table.only:
        generated = _state.generated or _load_generated()
        by_name = generated.find(model, provider)
        vendor = generated.provider(provider) if provider is not None else None
        if vendor is None or vendor in VENDORS:
            found = table.find(model)
            if isinstance(found, Price) and by_name:
                found = _completed(found, by_name[-1])
        if found is None and by_name:
            found = by_name[0] if len(by_name) == 1 and by_name[0].valid_from == _ALWAYS else by_name
    with _state.lock:
        if len(_state.known) >= _MODELS_REMEMBERED:
            _state.known.clear()
            _state.plain.clear()
        key = model if provider is None else (provider, model)
        _state.known[key] = found
        if isinstance(found, Price) and _is_plain(found):
            _state.plain[key] = found.rates
    return found


def _is_plain(price: Price) -> bool:
    """Whether its rates alone decide the cost of a call at the standard tier."""
    always = price.valid_from == _ALWAYS and price.valid_until == _FOREVER and price.hours is None
    return always and not price.above and (price.extras is None or price.extras.call is None)


def _completed(ours: Price, generated: Price) -> Price:
    """Our own entry, completed from the generated one: missing parts, service tiers and separately billed items."""

    def parts(own: Rates, other: Rates) -> Rates:
        return Rates(*(there if here is None else here for here, there in zip(own, other, strict=True)))

    above = tuple((limit, parts(rates, dict(generated.above).get(limit, rates))) for limit, rates in ours.above)
    return ours._replace(
        rates=parts(ours.rates, generated.rates), above=above, tier_rates=generated.tier_rates, extras=generated.extras
    )


def _load_generated() -> GeneratedTable:
    from . import generated

    table = generated.load()
    own = generated.updated_file()
    if own.exists():
        try:
            newer = generated.load(own)
            if newer.as_of >= table.as_of:
                table = newer
        except ConfigError as error:
            once.warn("llm-prices-updated", f"{error}; going on with the prices that come with the package")
    _state.generated = table
    return table


def _load() -> PriceTable:
    try:
        return reload()
    except ConfigError as error:
        log.error("%s; going on with the prices that come with the package", error)
        from .price_table import load

        _state.table = load(None)
        return _state.table


def _say(key: str, message: str) -> None:
    """Warn once per key, and for a bounded number of keys: model names are free text."""
    if _state.said < _MODELS_NAMED:
        _state.said += 1
        once.warn("llm-price:" + key, message + "; name prices of your own in the file that HYPERTOOL_PRICES points to")
