"""The series budget: what is computed from the declared label sets is what a host really has, and never exceeds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hypertool import PersonaMetricsCollector
from hypertool.domain.instruments import ALL, LLM_OUTCOMES, USAGE_MISSING_REASONS
from hypertool.domain.personas import load_catalogue
from hypertool.domain.series_budget import SeriesBudget, budget, values_at_most
from hypertool.service.exporter import HostCollector
from tests.support.store_writers import store


def _exposed(registry: CollectorRegistry) -> Counter[str]:
    names = {i.name.removesuffix("_total"): i.name for i in ALL}
    return Counter(names[metric.name] for metric in registry.collect() for _ in metric.samples)


def _budget() -> dict[str, SeriesBudget]:
    return {metric.name: metric for metric in budget(load_catalogue())}


def test_every_metric_has_a_budget() -> None:
    assert set(_budget()) == {i.name for i in ALL}


def test_new_host_has_the_initial_series(tmp_path: Path) -> None:
    """A new host has exactly the series that exist from the start."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HostCollector(store(tmp_path / "state"), load_catalogue()))
    assert _exposed(registry) == Counter(
        {name: metric.from_start for name, metric in _budget().items() if metric.from_start}
    )


def test_whatever_is_recorded_stays_within_the_budget() -> None:
    registry = CollectorRegistry()
    collector = PersonaMetricsCollector(registry)
    for number in range(300):
        text, persona = f"free-{number}", list(collector.catalogue.personas)[number % 6]
        collector.record_token_usage(persona, text, text, 1)
        collector.record_workflow_stage(text, text, persona, 1.0, number % 2 == 0)
        collector.switch_persona(None, persona, text)
    exposed, allowed = _exposed(registry), _budget()
    assert {name: count for name, count in exposed.items() if count > allowed[name].at_most} == {}
    assert len({m for name in exposed for m in [name] if exposed[name] > allowed[name].from_start}) >= 4


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("persona", 7),
        ("chatmode", 7 + 64 + 1),
        ("workflow", 4 + 64 + 1),
        ("model", 1 + 64 + 1),
        ("result", 2),
        ("reason", len(USAGE_MISSING_REASONS)),
        ("outcome", len(LLM_OUTCOMES)),
    ],
)
def test_label_size_is_declared_plus_64_plus_other(label: str, expected: int) -> None:
    """A label has its declared values, 64 others, and `other`."""
    assert values_at_most(label, 6) == expected


def test_worst_case_is_labels_times_buckets() -> None:
    """A metric's worst case is the product of its label sizes and buckets."""
    found = _budget()
    assert found["hypertool_persona_tokens_used_total"].at_most == 7 * 72 * 66
    assert found["hypertool_persona_duration_seconds"].at_most == 7 * 72 * (13 + 3)
    assert found["hypertool_persona_token_budget_limit"].at_most == 7
