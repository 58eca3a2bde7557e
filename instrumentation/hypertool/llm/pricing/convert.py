"""Makes the generated price table from genai-prices' data (MIT, https://github.com/pydantic/genai-prices).

Used at release time and by `hypertool prices update`; nothing else in the package needs genai-prices.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...runtime import atomic_files
from .generated import FORMAT, GeneratedTable

DATA_URL = "https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/data.json"
_MAX_PRICE = 10**6
LICENSE = "The MIT License (MIT), Copyright (c) Pydantic Services Inc. 2025 to present"
# The parts of our prices; billing by the page, the hour or the character is not supported.
_PARTS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "output_reasoning",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_audio_read",
    "output_audio_mtok": "output_audio",
    "web_searches_kcount": "web_searches",
    "requests_kcount": "requests",
}
_ABOUT = {"provider_match": "is", "model_match": "by_model", "fallback_model_providers": "fallback"}
# The condition of a price variant, and the service tier under which a reading reports it.
_TIERS = {("processing", "batch"): "batch", ("speed", "fast"): "fast"} | {
    ("service_tier", tier): tier for tier in ("priority", "flex", "fast")
}


def from_file(path: Path) -> dict[str, Any]:
    """The table from a downloaded `data.json`. Raises ConfigError if the file is not one."""
    try:
        providers = json.loads(path.read_text(encoding="utf-8"))
        modified = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc).date()
        return _checked(_table(providers, modified, f"genai-prices, {path.name}"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: is not genai-prices' data.json ({type(error).__name__}: {error}); it is published at {DATA_URL}"
        ) from None


def from_package() -> dict[str, Any]:
    """The table from the genai-prices package in this environment. Raises ConfigError if it is not installed."""
    try:
        import importlib.metadata

        from genai_prices.data import providers  # type: ignore[import-not-found]  # an optional package
    except ImportError:
        raise ConfigError(
            f"genai-prices is not installed here: `pip install genai-prices`, or download {DATA_URL} and name the file"
        ) from None
    version = importlib.metadata.version("genai-prices")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return _checked(_table([_plain(one) for one in providers], today, f"genai-prices {version}"), "genai-prices")


def write(table: Mapping[str, Any], path: Path) -> None:
    """Write the table to `path` atomically. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in table.items() if key != "providers"]
    models = ",\n".join(f"{json.dumps(name)}: {_lines(about)}" for name, about in table["providers"].items())
    text = "{\n" + ",\n".join(lines) + ',\n"providers": {\n' + models + "\n}}\n"
    atomic_files.replace(str(path), text.encode(), atomic_files.new_file_mode())


def _lines(about: Mapping[str, Any]) -> str:
    """A provider with one line per model, so that a diff shows what changed."""
    models = ",\n".join(json.dumps(model, separators=(",", ":")) for model in about["models"])
    rest = json.dumps({key: value for key, value in about.items() if key != "models"})
    return f'{rest[:-1]}{", " if len(rest) > 2 else ""}"models": [\n{models}\n]}}'


def _checked(table: dict[str, Any], where: str) -> dict[str, Any]:
    found = GeneratedTable(table)
    if not (found.find("gpt-4o", "openai") and found.find("claude-sonnet-4-5", "anthropic")):
        raise ConfigError(f"{where}: lacks models that every price table has (gpt-4o, claude-sonnet-4-5)")
    return table


def _table(providers: Iterable[Mapping[str, Any]], as_of: datetime.date, source: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for provider in providers:
        about: dict[str, Any] = {}
        for name, key in (
            ("provider_match", "is"),
            ("model_match", "by_model"),
            ("fallback_model_providers", "fallback"),
        ):
            if provider.get(name):
                about[key] = provider[name]
        if provider.get("pricing_urls"):
            about["url"] = provider["pricing_urls"][0]
        about["models"] = [_model(model, as_of) for model in provider["models"]]
        made[provider["id"]] = about
    return {"format": FORMAT, "as_of": as_of.isoformat(), "source": source, "license": LICENSE, "providers": made}


def _model(model: Mapping[str, Any], as_of: datetime.date) -> list[Any]:
    prices = model["prices"]
    periods = [{"prices": prices}] if isinstance(prices, Mapping) else prices
    variants = [
        (tier, _parts(variant["prices"]))
        for variant in model.get("price_variants") or ()
        if _begun(variant.get("constraint"), as_of) and len(variant["when"]) == 1
        for tier in [_TIERS.get(next(iter(variant["when"].items())))]
        if tier is not None
    ]
    return [
        model["id"],
        model["match"],
        [[_period(period.get("constraint")), _parts(period["prices"])] for period in periods],
        variants,
    ]


def _begun(constraint: Mapping[str, Any] | None, as_of: datetime.date) -> bool:
    """Whether a tier's price has begun. It applies to earlier calls too: its start is often the day it was recorded."""
    return not constraint or ("start_date" in constraint and str(constraint["start_date"]) <= as_of.isoformat())


def _period(constraint: Mapping[str, Any] | None) -> Any:
    """The period of a price: a start date, hours of the day (a list), or always (None)."""
    if not constraint:
        return None
    if "start_date" in constraint:
        return str(constraint["start_date"])
    return [str(constraint["start_time"]), str(constraint["end_time"])]


def _parts(prices: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in _PARTS.items():
        price = prices.get(name)
        if isinstance(price, Mapping):
            found[part] = [_number(price["base"]), [[tier["start"], _number(tier["price"])] for tier in price["tiers"]]]
        elif price is not None:
            found[part] = _number(price)
    return found


def _number(price: Any) -> str:
    """A price as text. Raises ValueError or ArithmeticError for a value that is not a price."""
    if not 0 <= Decimal(str(price)) <= _MAX_PRICE:
        raise ValueError(f"{price!r:.40} is no price")
    return str(price)


def _plain(value: Any) -> Any:
    """The package's objects in the form of `data.json`: clauses by kind, other objects by their fields."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    kind = type(value).__name__
    if kind.startswith("Clause"):
        ((name, inner),) = vars(value).items()
        return {name.rstrip("_"): _plain(inner)}
    if hasattr(value, "__dict__") and type(value).__module__.startswith("genai_prices"):
        return {name: _plain(one) for name, one in vars(value).items() if one is not None and name != "extractors"}
    return value
