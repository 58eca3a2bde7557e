"""Reads and checks the price file, and converts its prices to whole pico-dollars per token."""

from __future__ import annotations

import datetime
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from ...errors import ConfigError
from .prices import Price, Rates

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - exercised on hosts with Python 3.10
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("prices.toml")
FORMAT = 1

_PARTS = ("input", "cached_input", "cache_write", "output", "reasoning", "cache_write_1h")
_TOP = {"format", "as_of", "only", "models", "sources"}
_MODEL = {*_PARTS, "above", "service_tiers", "aliases", "valid_from", "valid_until", "as_of", "source"}
_PICO_PER_USD_PER_MILLION = 10**6
_MAX_PRICE = Decimal(100_000)

# The prefixes and suffixes that do not change the model: its own vendor (never a reseller, which has its own prices),
# and a date or a snapshot number.
_VENDORS = ("models/", "openai/", "anthropic/", "gemini/", "mistral/")
_SUFFIX = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|\d{3}))|-latest")


class PriceTable:
    """All known prices, by model name."""

    def __init__(
        self, prices: dict[str, Price], names: dict[str, str], own: frozenset[str] = frozenset(), only: bool = False
    ) -> None:
        self.prices = prices
        self.only = only
        self.own = own
        self._names = names
        self._by_length = sorted(names, key=len, reverse=True)

    def find_own(self, model: str) -> Price | None:
        """The price of `model` in the user's own file, which applies to every provider."""
        found = self.find(model) if self.own else None
        return found if found is not None and found.name in self.own else None

    def find(self, model: str) -> Price | None:
        """The price of `model`: by its exact name, else by the longest name that it extends by a date or number."""
        name = model.strip().lower()
        for vendor in _VENDORS:
            name = name.removeprefix(vendor)
        exact = self._names.get(name)
        if exact is not None:
            return self.prices[exact]
        for known in self._by_length:
            if name.startswith(known) and _SUFFIX.fullmatch(name, len(known)):
                return self.prices[self._names[known]]
        return None


def load(own: Path | None) -> PriceTable:
    """The shipped table plus the models of the user's `own` file, which take precedence (`only = true`: those alone).

    Raises ConfigError naming file and key.
    """
    prices: dict[str, Price] = {}
    names: dict[str, str] = {}
    only = _read(own, prices, names) if own is not None else False
    mine = frozenset(prices)
    if not only:
        shipped: dict[str, Price] = {}
        shipped_names: dict[str, str] = {}
        _read(SHIPPED, shipped, shipped_names)
        prices = {**shipped, **prices}
        names = {**shipped_names, **names}
    return PriceTable(prices, names, mine, only)


def _read(path: Path, prices: dict[str, Price], names: dict[str, str]) -> bool:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; HYPERTOOL_PRICES must name a price file that exists") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    for key in sorted(document.keys() - _TOP):
        raise ConfigError(f"{path}: unknown key {key!r}; expected {', '.join(sorted(_TOP))}")
    if document.get("format") != FORMAT:
        _wrong(path, "format", document.get("format"), f"{FORMAT}, the version of the file's layout")
    as_of = _date(path, "as_of", document.get("as_of"))
    only = document.get("only", False)
    if not isinstance(only, bool):
        _wrong(path, "only", only, "true or false")
    models = document.get("models")
    if not isinstance(models, dict):
        _wrong(path, "models", models, 'tables like [models."gpt-4o"]')
    for name, table in models.items():
        where = f"models.{name!r}"
        if not isinstance(table, dict):
            _wrong(path, where, table, "a table of prices")
        prices[name] = _price(path, where, name, table, as_of)
        aliases = table.get("aliases", [])
        if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias for alias in aliases):
            _wrong(path, f"{where}.aliases", aliases, "a list of names")
        for alias in (name, *aliases):
            taken = names.setdefault(alias.lower(), name)
            if taken != name:
                raise ConfigError(f"{path}: {where}: the name {alias!r} is taken by models.{taken!r}")
    return only


def _price(path: Path, where: str, name: str, table: dict[str, Any], as_of: datetime.date) -> Price:
    for key in sorted(table.keys() - _MODEL):
        raise ConfigError(f"{path}: {where}: unknown key {key!r}; expected {', '.join(sorted(_MODEL))}")
    above = []
    tiers = table.get("above", [])
    if not isinstance(tiers, list):
        _wrong(path, f"{where}.above", tiers, "tables with `input_tokens` and prices")
    for number, tier in enumerate(tiers):
        here = f"{where}.above[{number}]"
        if not isinstance(tier, dict) or tier.keys() - {*_PARTS, "input_tokens"}:
            _wrong(path, here, tier, f"a table with input_tokens and {', '.join(_PARTS)}")
        limit = tier.get("input_tokens")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            _wrong(path, f"{here}.input_tokens", limit, "a whole number of tokens from 1")
        above.append((limit, _rates(path, here, tier)))
    factors: dict[str, tuple[int, int]] = {}
    for tier_name, factor in _table(path, f"{where}.service_tiers", table.get("service_tiers", {})).items():
        value = _number(path, f"{where}.service_tiers.{tier_name}", factor)
        factors[tier_name.lower()] = value.as_integer_ratio()
    source = table.get("source", "")
    if not isinstance(source, str):
        _wrong(path, f"{where}.source", source, "a text")
    return Price(
        name,
        _rates(path, where, table),
        tuple(sorted(above, key=lambda item: -item[0])),
        factors,
        _seconds(path, f"{where}.valid_from", table.get("valid_from"), float("-inf")),
        _seconds(path, f"{where}.valid_until", table.get("valid_until"), float("inf")),
        _date(path, f"{where}.as_of", table["as_of"]) if "as_of" in table else as_of,
        source,
    )


def _rates(path: Path, where: str, table: dict[str, Any]) -> Rates:
    found: dict[str, int | None] = dict.fromkeys(_PARTS)
    for part in _PARTS:
        if part in table:
            pico = _number(path, f"{where}.{part}", table[part]) * _PICO_PER_USD_PER_MILLION
            if pico != pico.to_integral_value():
                _wrong(path, f"{where}.{part}", table[part], "at most six decimals")
            found[part] = int(pico)
    for part in ("input", "output"):
        if found[part] is None:
            raise ConfigError(f"{path}: {where}.{part} is missing; it is the price in USD per million tokens")
    if found["reasoning"] is None:
        found["reasoning"] = found["output"]  # every provider bills reasoning as output
    return Rates(**found)


def _number(path: Path, where: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        _wrong(path, where, value, "a number")
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number <= _MAX_PRICE:
        _wrong(path, where, value, f"a number from 0 to {_MAX_PRICE}")
    return number


def _table(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _wrong(path, where, value, "a table")
    return value


def _date(path: Path, where: str, value: Any) -> datetime.date:
    if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
        _wrong(path, where, value, "a date like 2026-11-21")
    return value


def _seconds(path: Path, where: str, value: Any, default: float) -> float:
    """Midnight UTC of a day, in seconds since the epoch."""
    if value is None:
        return default
    day = _date(path, where, value)
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()


def _wrong(path: Path, where: str, value: Any, expected: str) -> NoReturn:
    raise ConfigError(f"{path}: {where} = {value!r:.60}, expected {expected}")
