"""record_llm_call, totals, personas from code, and what an unknown persona does: the ways in without a wrapper."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hypertool
from hypertool import ObservableLLM, PersonaMetricsCollector, record_llm_call
from hypertool.domain.personas import Catalogue, Persona, load_catalogue
from hypertool.llm import Usage
from tests.llm.calls import CHAT, counted, durations
from tests.support.hypertool_host import Host


def test_recorded_call_counts_like_an_observed_one(metrics: PersonaMetricsCollector) -> None:
    """Tokens by kind, cost, request, duration, first chunk and budget, from a provider's own usage record."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    record_llm_call("backend-engineer", "gpt-4o", usage, 1.5, first_chunk_seconds=0.4, metrics=metrics)
    assert counted(metrics, "llm") == {("backend-engineer", "gpt-4o", "success"): 1}
    kinds = {kind: tokens for (*_, kind), tokens in counted(metrics, "ltk").items()}
    assert kinds == {"input": 600, "cache_read": 400, "output": 100}
    assert counted(metrics, "usd") == {("backend-engineer", "gpt-4o"): 3_000_000}
    assert durations(metrics) == 1
    assert metrics.get_remaining_budget("backend-engineer") == 900


def test_usage_may_be_an_sdks_object(metrics: PersonaMetricsCollector) -> None:
    """`response.usage` as an SDK gives it, with its details as objects."""
    usage = SimpleNamespace(
        prompt_tokens=100, completion_tokens=20, prompt_tokens_details=SimpleNamespace(cached_tokens=40)
    )
    record_llm_call("backend-engineer", "gpt-4o", usage, 0.5, metrics=metrics)
    kinds = {kind: tokens for (*_, kind), tokens in counted(metrics, "ltk").items()}
    assert kinds == {"input": 60, "cache_read": 40, "output": 20}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"persona": "nobody"}, ValueError),
        ({"outcome": "blocked"}, ValueError),
        ({"seconds": -1}, ValueError),
        ({"seconds": "1"}, TypeError),
        ({"usage": 5}, TypeError),
        ({"usage": "12 tokens"}, TypeError),
        ({"usage": SimpleNamespace(id="r1", choices=[])}, TypeError),
        ({"model": ""}, TypeError),
    ],
    ids=str,
)
def test_mistaken_record_raises_and_counts_nothing(
    metrics: PersonaMetricsCollector, change: dict[str, Any], error: type[Exception]
) -> None:
    """A mistake in the call is an error at once, before anything is counted."""
    right: dict[str, Any] = {"persona": "backend-engineer", "model": "m", "usage": Usage(1), "seconds": 1}
    with pytest.raises(error):
        record_llm_call(**{**right, **change}, metrics=metrics)
    assert counted(metrics, "llm") == {}


def test_totals_are_the_hosts(tmp_path: Path) -> None:
    """`hypertool.totals()` has what this process and others have counted, without a private name."""
    host = Host(tmp_path)
    program = """
        import json, hypertool
        hypertool.record_llm_call("backend-engineer", "gpt-4o", hypertool.llm.Usage(100, output=10), 0.1)
        totals = hypertool.totals()
        print(json.dumps([sum(totals.tokens.values()), sum(totals.requests.values()), totals.cost_usd[
            "backend-engineer", "gpt-4o"], totals.token_kinds["backend-engineer", "gpt-4o", "input"],
            totals.budgets["backend-engineer"].limit]))
    """.replace("import json, hypertool", "import json, hypertool, hypertool.llm")
    assert host.json(program)[:2] == [110, 1]
    tokens, calls, dollars, kind, limit = host.json(program)
    assert (tokens, calls, kind, limit) == (220, 2, 200, 2000)
    assert dollars == pytest.approx(2 * (100 * 2.5 + 10 * 10) / 1e6)


def test_persona_declared_in_code_has_a_budget(metrics: PersonaMetricsCollector) -> None:
    """A declared persona is known under its name and aliases, with the budget given."""
    metrics.declare_persona("reviewer", 3000, aliases=["rev"])
    metrics.declare_persona("reviewer", 3000, aliases=["rev"])
    ObservableLLM(lambda prompt: CHAT, "m", metrics=metrics)("x", persona="rev")
    assert metrics.get_remaining_budget("reviewer") == 3000 - 120


@pytest.mark.parametrize(
    ("name", "tokens", "more"),
    [
        ("reviewer", 0, {}),
        ("Reviewer", 10, {}),
        ("unknown", 10, {}),
        ("reviewer", 10, {"window": "week"}),
        ("reviewer", 10, {"aliases": ["strict"]}),
        ("strict", 10, {}),
    ],
    ids=str,
)
def test_impossible_declaration_is_a_value_error(
    metrics: PersonaMetricsCollector, name: str, tokens: int, more: dict[str, Any]
) -> None:
    """What a configuration file could not have, code cannot either, nor another budget of a known persona."""
    metrics.catalogue.personas["strict"] = metrics.catalogue.personas["strict"]._replace(source="package")
    before = dict(metrics.catalogue.personas)
    with pytest.raises(ValueError, match="declare_persona"):
        metrics.declare_persona(name, tokens, **more)
    assert metrics.catalogue.personas == before


def test_file_wins_over_declaration(metrics: PersonaMetricsCollector) -> None:
    """Budgets are the operator's: a persona in a file keeps what it has there."""
    metrics.catalogue.personas["strict"] = Persona("strict", 1000, on_exceed="block", source="/etc/x.toml")
    metrics.declare_persona("strict", 10**6)
    assert metrics.get_remaining_budget("strict") == 1000


def test_unknown_persona_counts_where_asked(metrics: PersonaMetricsCollector) -> None:
    """With `unknown_persona = "count"` a call with an unknown persona goes on, and counts as `unknown`."""
    metrics.catalogue.unknown_persona = "count"
    ObservableLLM(lambda prompt: CHAT, "m", metrics=metrics)("x", persona="nobody-knows")
    record_llm_call("nobody-knows", "m", Usage(1), None, metrics=metrics)
    assert counted(metrics, "llm") == {("unknown", "m", "success"): 2}


@pytest.mark.parametrize(("line", "expected"), [("", "error"), ('unknown_persona = "count"', "count")])
def test_unknown_persona_is_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str
) -> None:
    """The configuration file says what an unknown persona does; without it, it is an error."""
    file = tmp_path / "hypertool.toml"
    file.write_text(f"{line}\n[personas.reviewer]\ntokens = 10\n")
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(file))
    catalogue: Catalogue = load_catalogue()
    assert catalogue.unknown_persona == expected
    file.write_text('unknown_persona = "ignore"\n')
    with pytest.raises(hypertool.ConfigError, match="expected one of error, count"):
        load_catalogue()
