"""Our prices beside genai-prices' own calculation and LiteLLM's table, model by model."""

from __future__ import annotations

import datetime
import importlib.resources
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from genai_prices.data import providers
from genai_prices.types import Usage

from hypertool.llm import Usage as OurUsage
from hypertool.llm.pricing import convert, generated
from hypertool.llm.pricing.cost import cost_of

AT = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.timezone.utc)
# Input (with 4,000 cached and 2,000 written), output with 300 of reasoning: below every threshold, and above all.
SMALL, LARGE = OurUsage(14_000, 4_000, 2_000, 1_200, 300), OurUsage(994_000, 4_000, 2_000, 1_200, 300)

# Why a model costs something else here than by genai-prices, by (provider, model).
DIFFERENCES: dict[tuple[str, str], str] = {}


def _models() -> list[tuple[str, str, Any]]:
    return [(provider.id, model.id, provider) for provider in providers for model in provider.models]


def _theirs(provider: Any, model: Any, usage: OurUsage, context: dict[str, str] | None = None) -> int | None:
    given = Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning,
    )
    price = model.calc_price(given, provider, genai_request_timestamp=AT, price_context=context).total_price
    return int((price * 10**9).quantize(Decimal(1), ROUND_HALF_UP)) or None


def test_prices_agree_to_the_nano_dollar() -> None:
    """At least 95 per cent of the priced models cost the same to the nano-dollar, small calls and large; each
    difference is listed with its reason.
    """
    same, different = 0, {}
    for provider_id, model_id, provider in _models():
        found = provider.find_model(model_id, all_providers=providers)
        if found is None:
            continue
        for usage in (SMALL, LARGE):
            theirs = _theirs(provider, found, usage)
            if theirs is None:
                continue
            ours = cost_of(model_id, usage, at=AT.timestamp(), provider=provider_id)
            if ours == theirs:
                same += 1
            else:
                different[provider_id, model_id] = (ours, theirs)
    print(f"{same} of {same + len(different)} the same")
    unexplained = {key: costs for key, costs in different.items() if key not in DIFFERENCES}
    assert same / (same + len(different)) >= 0.95, f"{len(different)} differ: {list(different.items())[:40]}"
    assert unexplained == {}, "explain each in DIFFERENCES, or mend it"


def test_service_tiers_agree_to_the_nano_dollar() -> None:
    """Batch, flex, priority and fast cost what genai-prices says, for every model that has them."""
    same, different = 0, {}
    for provider in providers:
        for model in provider.models:
            for variant in model.price_variants or ():
                tier = convert._TIERS.get(next(iter(variant.when.items())))
                if tier is None or provider.find_model(model.id) is not model:
                    continue
                for usage in (SMALL, LARGE):
                    theirs = _theirs(provider, model, usage, dict(variant.when))
                    ours = cost_of(model.id, usage, tier, AT.timestamp(), provider.id)
                    if ours == theirs:
                        same += 1
                    else:
                        different[provider.id, model.id, tier] = (ours, theirs)
    print(f"{same} of {same + len(different)} tiers the same")
    assert different == {}
    assert same > 300


def test_shipped_table_is_what_the_package_says() -> None:
    """prices.json was made from the pinned genai-prices: `hypertool prices update --output` of it changes nothing."""
    shipped = json.loads(generated.SHIPPED.read_text())
    made = json.loads(json.dumps(convert.from_package()))
    assert shipped["source"] == made["source"]
    assert shipped["providers"] == made["providers"]


def test_litellm_has_the_same_prices() -> None:
    """Of the models of the large vendors that LiteLLM has too, nearly all have the same price for input and output."""
    names = {"openai": "openai", "anthropic": "anthropic", "gemini": "google", "mistral": "mistral", "cohere": "cohere"}
    table = json.loads(
        importlib.resources.files("litellm").joinpath("model_prices_and_context_window_backup.json").read_text()
    )
    same, different = 0, []
    for name, about in table.items():
        provider = names.get(about.get("litellm_provider"))
        given, made = about.get("input_cost_per_token"), about.get("output_cost_per_token")
        if provider is None or about.get("mode") != "chat" or not given or not made or name.startswith("ft:"):
            continue
        small = cost_of(name.rpartition("/")[2], OurUsage(1_000, output=1_000), at=AT.timestamp(), provider=provider)
        if small is None:
            continue
        theirs = round((given + made) * 1_000 * 10**9)
        if small == theirs:
            same += 1
        else:
            different.append((name, small, theirs))
    print(f"{same} of {same + len(different)} as LiteLLM has them; different: {different}")
    assert same / (same + len(different)) >= 0.9
    assert same > 100
