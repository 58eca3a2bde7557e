"""The generated price table (`prices.json`): finds a model by name and provider, with its prices by date.

`convert.py` writes the file from genai-prices' data. Prices stay as written there and become whole pico-dollars per
token when a model is first looked up.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...domain.personas import user_file
from ...errors import ConfigError
from .prices import Extras, Price, Rates

SHIPPED = Path(__file__).with_name("prices.json")
FORMAT = 1
_ALWAYS, _FOREVER = float("-inf"), float("inf")
_PICO_PER_USD_PER_MILLION = 10**6
_PICO_PER_USD_PER_THOUSAND = 10**9
_COMPACT_DATE = re.compile(r"(?<!\d)(20\d{2})(\d{2})(\d{2})(?!\d)")
# A further version number: "claude-fable-5-2" is not "claude-fable-5". Dates and sizes (-70b) are not versions.
_LATER = re.compile(r"[-.]\d{1,2}(?!\d|b|x|-\d{4})(?=[-.@:]|$)")

# gen_ai.provider.name and other names that differ from the table's.
_PROVIDERS = {
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "together_ai": "together",
    "moonshot": "moonshotai",
}


class GeneratedTable:
    """All providers and models of the file; `find` searches linearly, so its callers remember the result."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.as_of = datetime.date.fromisoformat(document["as_of"])
        self.source = str(document["source"])
        self.providers: Mapping[str, Mapping[str, Any]] = document["providers"]

    def find(self, model: str, provider: str | None) -> tuple[Price, ...]:
        """The prices of a model, the newest last; empty if there is none, or if the providers disagree.

        `provider` is a `gen_ai.provider.name` or one of the table's names. Without it, the model's own vendor counts,
        else all providers that have the model, if they agree.
        """
        name = model.strip().lower()
        known = self.provider(provider) if provider else None
        if known is not None:
            return self._of(known, name) or self._of(known, _dashed(name))
        prefix, _, rest = name.partition("/")
        if rest and (named := self.provider(prefix)) is not None and (found := self._of(named, rest)):
            return found
        for one, about in self.providers.items():
            if about.get("by_model") and _matches(about["by_model"], name) and (found := self._of(one, name)):
                return found
        everywhere = [found for one in self.providers if (found := self._of(one, name))]
        agreed = everywhere and all(
            [p.rates for p in found] == [p.rates for p in everywhere[0]] for found in everywhere
        )
        return everywhere[0] if agreed else ()

    def provider(self, name: str) -> str | None:
        """The table's name for a provider, or None."""
        asked = _PROVIDERS.get(name.lower(), name.lower())
        if asked in self.providers:
            return asked
        return next(
            (p for p, about in self.providers.items() if about.get("is") and _matches(about["is"], asked)), None
        )

    def _of(self, provider: str, name: str) -> tuple[Price, ...]:
        about = self.providers[provider]
        for one in (provider, *about.get("fallback", ())):
            for model, match, prices, variants in self.providers.get(one, {}).get("models", ()):
                if _matches(match, name):
                    return tuple(self._prices(one, model, prices, variants))
        return ()

    def _prices(self, provider: str, model: str, prices: Any, variants: Any) -> Iterator[Price]:
        """One price per period, in the order of the file: the last valid one counts."""
        for since, keys in prices:
            rates = _rates(keys)
            if rates is None:
                continue
            tiers: dict[str, Any] = {}
            for tier, changed in variants:
                own = _rates({**keys, **changed})
                if own is not None and tier not in tiers:
                    tiers[tier] = (own, _above({**keys, **changed}))
            yield Price(
                f"{provider}:{model}",
                rates,
                _above(keys),
                {},
                _midnight(since) if isinstance(since, str) else _ALWAYS,
                _FOREVER,
                self.as_of,
                self.source,
                tiers,
                _extras(keys),
                (_seconds(since[0]), _seconds(since[1])) if isinstance(since, list) else None,
            )


def updated_file() -> Path:
    """Where `hypertool prices update` writes a newer table: $XDG_CONFIG_HOME/hypertool/prices.json."""
    return user_file().with_name("prices.json")


def load(path: Path = SHIPPED) -> GeneratedTable:
    """Read a generated file. Raises ConfigError naming file and reason."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ConfigError(
                f"{path}: format = {document['format']!r}, expected {FORMAT}; run `hypertool prices update`"
            )
        return GeneratedTable(document)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: is no price table of this version ({type(error).__name__}: {error})") from None


def _matches(clause: Mapping[str, Any], name: str) -> bool:
    ((kind, value),) = clause.items()
    if kind == "or":
        return any(_matches(one, name) for one in value)
    if kind == "and":
        return all(_matches(one, name) for one in value)
    if kind == "equals":
        return name == str(value).lower()
    if kind == "starts_with":
        return name.startswith(str(value).lower()) and not _LATER.match(name, len(value))
    if kind == "ends_with":
        return name.endswith(str(value).lower())
    if kind == "contains":
        place = name.find(str(value).lower())
        return place >= 0 and not _LATER.match(name, place + len(value))
    return re.search(value, name) is not None


def _dashed(name: str) -> str:
    return _COMPACT_DATE.sub(r"\1-\2-\3", name)


def _midnight(day: str) -> float:
    at = datetime.date.fromisoformat(day)
    return datetime.datetime(at.year, at.month, at.day, tzinfo=datetime.timezone.utc).timestamp()


def _seconds(clock: str) -> int:
    at = datetime.time.fromisoformat(clock.removesuffix("Z"))
    return at.hour * 3600 + at.minute * 60 + at.second


def _exact(price: str, factor: int) -> int:
    pico = Fraction(Decimal(price)) * factor
    return pico.numerator if pico.denominator == 1 else pico  # type: ignore[return-value]  # below a pico-dollar


def _at(value: Any, tokens: int) -> str | None:
    """The price of one part for a call with `tokens` input tokens."""
    if not isinstance(value, list):
        return value  # type: ignore[no-any-return]
    base, tiers = value
    return next((price for start, price in reversed(tiers) if tokens > start), base)  # type: ignore[no-any-return]


def _rates(keys: Mapping[str, Any], tokens: int = 0) -> Rates | None:
    """The rates; a part without its own price costs as much as its whole (cached input: input, reasoning: output)."""
    found = {key: _at(value, tokens) for key, value in keys.items()}
    if found.get("input") is None and found.get("output") is None:
        return None
    pico = {key: _exact(price, _PICO_PER_USD_PER_MILLION) for key, price in found.items() if price is not None}
    whole, made = pico.get("input", 0), pico.get("output", 0)
    write = pico.get("cache_write", whole)
    return Rates(
        whole,
        pico.get("cache_read", whole),
        write,
        made,
        pico.get("output_reasoning", made),
        pico.get("cache_write_1h", write),
    )


def _above(keys: Mapping[str, Any]) -> tuple[tuple[int, Rates], ...]:
    starts = sorted(
        {start for value in keys.values() if isinstance(value, list) for start, _ in value[1]}, reverse=True
    )
    return tuple((start, rates) for start in starts if (rates := _rates(keys, start + 1)) is not None)


def _extras(keys: Mapping[str, Any]) -> Extras | None:
    names = ("input_audio", "cache_audio_read", "output_audio", "web_searches", "requests")
    audio, cached, made, searches, call = (keys.get(name) for name in names)
    if audio is cached is made is searches is call is None:
        return None

    def pico(value: Any, factor: int) -> int | None:
        price = _at(value, 0)
        return None if price is None else _exact(price, factor)

    return Extras(
        pico(audio, _PICO_PER_USD_PER_MILLION),
        pico(cached, _PICO_PER_USD_PER_MILLION),
        pico(made, _PICO_PER_USD_PER_MILLION),
        pico(searches, _PICO_PER_USD_PER_THOUSAND),
        pico(call, _PICO_PER_USD_PER_THOUSAND),
    )
