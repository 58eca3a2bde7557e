"""Money is whole nano-dollars, right to the last one; what has no price has no cost and says so once."""

from __future__ import annotations

import datetime
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypertool.domain.workflows import SIMULATED_MODEL
from hypertool.errors import ConfigError
from hypertool.llm import Missing, Usage, cost_of, unit_prices
from hypertool.llm.pricing import cost as prices
from hypertool.llm.pricing.price_table import SHIPPED, load
from hypertool.llm.pricing.prices import Price, Rates
from hypertool.llm.reading.usage import Billing
from hypertool.runtime import logs
from tests.llm.encodings import PATIENT

HEAD = "format = 1\nas_of = 2026-11-21\n"
COUNTS = st.integers(min_value=0, max_value=10**9)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPERTOOL_PRICES", raising=False)
    monkeypatch.setattr(prices, "_state", prices._State())
    monkeypatch.setattr(logs.once, "_said", set())


def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    monkeypatch.setenv("HYPERTOOL_PRICES", str(path))
    return path


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        # 1000 x 2.50 + 1000 x 1.25 + 500 x 10.00, per million
        ("gpt-4o", Usage(1000, 1000, 0, 500), "0.00875"),
        ("gpt-4o-2024-08-06", Usage(1000, 1000, 0, 500), "0.00875"),
        ("openai/gpt-4o", Usage(1000, 1000, 0, 500), "0.00875"),
        # its first snapshot kept its price: 1000 x 5 + 500 x 15
        ("gpt-4o-2024-05-13", Usage(1000, 0, 0, 500), "0.0125"),
        # reasoning is billed as output: (100 + 400) x 10.00
        ("gpt-5", Usage(0, 0, 0, 100, 400), "0.005"),
        # 50 x 4 + 1000 x 0.20 + 148 x 5 (five minutes) + 100 x 8 (an hour) + 503 x 20
        ("claude-opus-5-5", Usage(50, 1000, 248, 503, cache_write_1h=100), "0.012"),
        ("claude-haiku-4-5-20251001", Usage(1_000_000), "1"),
        # up to 200,000 tokens of input the one price, above it the other for all of it
        ("gemini-2.5-pro", Usage(200_000, 0, 0, 1000), "0.26"),
        ("gemini-2.5-pro", Usage(100_000, 100_001, 0, 1000), "0.29000025"),
        ("models/gemini-2.5-pro", Usage(1), "0.00000125"),
    ],
)
def test_a_call_costs_what_a_person_works_out(model: str, usage: Usage, dollars: str) -> None:
    assert cost_of(model, usage) == Fraction(dollars) * 10**9


@PATIENT
@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_the_only_rounding_is_the_last_one(parts: tuple[int, int, int, int, int]) -> None:
    usage = Usage(*parts)
    rates = [Fraction("0.10"), Fraction("0.01"), Fraction("0.125"), Fraction("0.50"), Fraction("0.50")]
    if usage.input_tokens > 100_000:
        rates = [rate * 5 for rate in rates]
    exact = sum(count * rate * 1000 for count, rate in zip(parts, rates, strict=True))
    found = cost_of("claude-haiku-5-5", usage)
    assert isinstance(found, int)
    assert abs(found - exact) <= Fraction(1, 2)


def test_service_tiers_have_their_factor_or_no_cost() -> None:
    usage = Usage(1000, 0, 0, 100)
    assert cost_of("gpt-5", usage) == 2_250_000
    assert cost_of("gpt-5", usage, "flex") == 1_125_000
    assert cost_of("gpt-5", usage, "priority") == 4_500_000
    assert cost_of("gpt-5", usage, "moonlight") is None


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-next",
        "claude-opus-5-9",
        "my-model",
        "gpt-4o2",
        "gemini-2.5-flash-3",
    ],
)
def test_a_name_that_only_looks_alike_has_no_price(model: str) -> None:
    assert cost_of(model, Usage(1000)) is None


def test_unknown_is_none_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hypertool"):
        assert [cost_of("my-model", Usage(5)) for _ in range(3)] == [None, None, None]
    assert len(caplog.records) == 1
    assert "'my-model'" in caplog.text
    assert "HYPERTOOL_PRICES" in caplog.text
    assert cost_of(None, Usage(5)) is None
    assert cost_of("gpt-4o", Missing("no_usage")) is None
    assert cost_of("gpt-4o", Usage()) == 0


def test_unknown_names_fill_neither_log_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Many unknown names fill neither the log nor memory."""
    with caplog.at_level(logging.WARNING, "hypertool"):
        for number in range(3000):
            cost_of(f"model-{number}", Usage(5))
    assert len(caplog.records) == 64
    assert len(prices._state.known) <= 1024


def test_a_part_without_a_price_has_no_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own(tmp_path, monkeypatch, '[models."my-model"]\ninput = 1\noutput = 2\n')
    assert cost_of("my-model", Usage(5, 0, 7)) is None
    assert "cache_write" in caplog.text
    assert cost_of("my-model", Usage(5)) == 5_000


def test_users_file_adds_replaces_and_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's price file adds prices, replaces them, and can stand alone."""
    own(
        tmp_path,
        monkeypatch,
        '[models."my-model"]\ninput = 1\noutput = 2\naliases = ["Mine"]\n'
        '[models."gpt-4o"]\ninput = 100\noutput = 100\n',
    )
    assert cost_of("my-model", Usage(1000, output=1)) == cost_of("mine", Usage(1000, output=1)) == 1_002_000
    assert cost_of("gpt-4o", Usage(1)) == 100_000
    assert cost_of("gpt-5", Usage(1)) == 1_250
    price = unit_prices("my-model")
    assert price is not None
    assert (price.rates.input, price.as_of) == (1_000_000, datetime.date(2026, 11, 21))


@pytest.mark.parametrize(("tokens", "nano"), [(1, 1), (2, 1), (3, 2), (1001, 501)])
def test_half_a_nano_dollar_is_rounded_up_once_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, nano: int
) -> None:
    own(tmp_path, monkeypatch, "[models.m]\ninput = 0.0005\noutput = 0.0005\nservice_tiers = { flex = 1.0 }\n")
    assert cost_of("m", Usage(tokens)) == cost_of("m", Usage(tokens), "flex") == nano
    assert cost_of("m", Usage(tokens, output=1)) == (tokens + 2) // 2


def test_highest_passed_threshold_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several price thresholds, the highest that is passed counts."""
    own(
        tmp_path,
        monkeypatch,
        "[models.m]\ninput = 1\noutput = 1\nabove = ["
        "{ input_tokens = 10, input = 2, output = 2 }, { input_tokens = 20, input = 3, output = 3 }]\n",
    )
    assert [cost_of("m", Usage(count)) for count in (10, 11, 20, 21)] == [10_000, 22_000, 40_000, 63_000]


def test_only_leaves_the_shipped_prices_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(tmp_path, monkeypatch, 'only = true\n[models."my-model"]\ninput = 1\noutput = 2\n')
    assert cost_of("my-model", Usage(1)) == 1_000
    assert cost_of("gpt-4o", Usage(1)) is None


def test_a_price_holds_from_its_day_until_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(tmp_path, monkeypatch, "[models.m]\ninput = 1\noutput = 2\nvalid_from = 2026-01-01\nvalid_until = 2026-02-01\n")

    def at(*when: int) -> float:
        return datetime.datetime(*when, tzinfo=datetime.timezone.utc).timestamp()  # type: ignore[arg-type, misc]

    assert cost_of("m", Usage(1), at=at(2025, 12, 31, 23, 59)) is None
    assert cost_of("m", Usage(1), at=at(2026, 1, 1)) == 1_000
    assert cost_of("m", Usage(1), at=at(2026, 1, 31, 23, 59)) == 1_000
    assert cost_of("m", Usage(1), at=at(2026, 2, 1)) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[models.m]\ninput = "1"\noutput = 2\n', ["models.'m'.input", "'1'", "a number"]),
        ("[models.m]\ninput = 1\n", ["models.'m'.output", "missing"]),
        ("[models.m]\ninput = -1\noutput = 2\n", ["models.'m'.input", "-1"]),
        ("[models.m]\ninput = nan\noutput = 2\n", ["models.'m'.input"]),
        ("[models.m]\ninput = true\noutput = 2\n", ["models.'m'.input", "True"]),
        ("[models.m]\ninput = 0.0000001\noutput = 2\n", ["models.'m'.input", "six decimals"]),
        ("[models.m]\ninput = 1\noutput = 2\nprice = 3\n", ["models.'m'", "'price'"]),
        ("[models.m]\ninput = 1\noutput = 2\nabove = [{ input = 1, output = 2 }]\n", ["above[0].input_tokens"]),
        ("[models.m]\ninput = 1\noutput = 2\nabove = [{ input_tokens = 5, input = 1 }]\n", ["above[0].output"]),
        ("[models.m]\ninput = 1\noutput = 2\nvalid_from = 'soon'\n", ["models.'m'.valid_from", "'soon'"]),
        ('[models.m]\ninput = 1\noutput = 2\n[models.n]\ninput = 1\noutput = 2\naliases = ["m"]\n', ["'m'", "taken"]),
        ("models = 3\n", ["models", "3"]),
        ("[prices]\n", ["'prices'"]),
        ("[models\n", ["not valid TOML"]),
    ],
)
def test_a_broken_file_is_named_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = own(tmp_path, monkeypatch, text)
    with pytest.raises(ConfigError) as failed:
        load(path)
    assert all(name in str(failed.value) for name in [str(path), *names]), failed.value
    # The library goes on with what the package ships, and says the same once.
    assert cost_of("gpt-4o", Usage(1)) == cost_of("gpt-4o", Usage(1)) == 2_500
    assert caplog.text.count(str(path)) == 1


def test_missing_or_foreign_price_file_is_named(tmp_path: Path) -> None:
    """A price file that is missing or has another layout is named."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file; HYPERTOOL_PRICES"):
        load(tmp_path / "nowhere.toml")
    path = tmp_path / "old.toml"
    path.write_text("format = 7\nas_of = 2026-11-21\n[models.m]\ninput = 1\noutput = 1\n")
    with pytest.raises(ConfigError, match="format = 7, expected 1"):
        load(path)


def test_every_shipped_price_is_plausible_and_dated() -> None:
    table = load(None)
    assert len(table.prices) >= 30
    for name, price in table.prices.items():
        if name == SIMULATED_MODEL:
            assert {price.rates.input, price.rates.output} == {0}, "nobody bills the simulated runs"
            continue
        for rates in (price.rates, *(rates for _, rates in price.above)):
            assert rates.input is not None, name
            assert rates.output is not None, name
            assert rates.input < rates.output, name
            assert rates.cached_input is None or rates.cached_input < rates.input, name
            assert rates.cache_write is None or rates.input < rates.cache_write < 2 * rates.input, name
            assert rates.cache_write_1h is None or rates.cache_write_1h == 2 * rates.input, name
    assert "sources" in SHIPPED.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "provider", "usage", "more", "nano"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", Usage(1000), {}, 3_300_000),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", Usage(1000), {}, 3_000_000),
        ("gpt-4o", "azure.ai.openai", Usage(1000), {}, 2_500_000),
        ("gemini-2.5-pro", "gcp.vertex_ai", Usage(200_001), {}, 500_002_500),
        ("claude-sonnet-4-5", "anthropic", Usage(0, 0, 1000, cache_write_1h=1000), {}, 6_000_000),
        ("claude-sonnet-4-5", "anthropic", Usage(1000), {"service_tier": "batch"}, 1_500_000),
        ("claude-sonnet-4-5", "anthropic", Usage(1000), {"billing": Billing(percent=110)}, 3_300_000),
        ("claude-sonnet-4-5", "anthropic", Usage(1500), {"billing": Billing(web_searches=3)}, 34_500_000),
        ("gemini-2.5-flash", "gcp.gemini", Usage(1000), {"billing": Billing(audio_input=400)}, 580_000),
        ("openai/gpt-4o", "openrouter", Usage(1000), {"billing": Billing(stated_nano_usd=7)}, 7),
        ("llama-3.3-70b-versatile", "groq", Usage(1000), {}, 590_000),
        ("no-such-model", "groq", Usage(1000), {}, None),
    ],
)
def test_generated_prices_know_tier_and_extras(
    model: str, provider: str, usage: Usage, more: dict[str, Any], nano: int | None
) -> None:
    """Regions, resellers, thresholds, cache ages, tiers, surcharges, searches and audio are priced; a stated cost is
    believed.
    """
    assert cost_of(model, usage, provider=provider, **more) == nano


def test_differing_providers_give_no_price() -> None:
    """A model that several resellers sell at different prices has no cost unless it is known who served it."""
    assert cost_of("llama-3.3-70b-instruct", Usage(1000)) is None


def test_hours_and_days_choose_the_price() -> None:
    """Of a model's prices the last one that holds at the time of the call counts."""
    rates = [Rates(price, None, None, price, price, None) for price in (1000, 2000, 3000)]
    day = datetime.date(2026, 1, 1)
    table = (
        Price("m", rates[0], (), {}, float("-inf"), float("inf"), day, ""),
        Price("m", rates[1], (), {}, 1_767_225_600.0, float("inf"), day, ""),
        Price("m", rates[2], (), {}, float("-inf"), float("inf"), day, "", {}, None, (23 * 3600, 3600)),
    )
    at = [prices._at(table, moment).rates for moment in (0.0 + 7200, 1_767_225_600.0 + 7200, 1_767_225_600.0 + 60)]
    assert at == rates
