"""What is sent where series cost money is all that dashboards, rules and the runbook look at."""

from __future__ import annotations

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from prometheus.generator.kept import kept, names_in
from tests.rules.cases import PROMETHEUS, REPO, RULE_FILES, load
from tests.rules.promql import selectors

KEPT = set(load(PROMETHEUS / "kept_metrics.yml")["kept_metrics"])
#: Grafana's variables, as a query has them after Grafana.
VARIABLES = {"$__rate_interval": "4m", "$__range": "1h", "$__interval_ms": "60000", "$__interval": "1m"}
DASHBOARDS = sorted((REPO / "grafana" / "dashboards").glob("*.json"))


def looked_at(expression: str) -> set[str]:
    """The metrics that an expression selects, by the real parser."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return {str(selector.name) for selector in selectors(promql_parser.parse(expression)) if selector.name}


def needed(expressions: list[str]) -> set[str]:
    names = {name for expression in expressions for name in looked_at(expression)}
    return {name for name in names if ":" not in name and not name.startswith(("hypertool_", "ALERTS"))}


def test_every_metric_of_rules_is_kept() -> None:
    rules = [rule["expr"] for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]]
    used = needed(rules)
    assert len(used) > 20
    assert used <= KEPT


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_metric_of_a_dashboard_is_kept(path: Path) -> None:
    queries = re.findall(r'"expr": (".*")', path.read_text(encoding="utf-8"))
    assert needed([json.loads(query) for query in queries]) <= KEPT


def test_nothing_unused_is_kept() -> None:
    """The list has no word that is no metric: each has the prefix of a program that is scraped."""
    programs = ("node_", "alloy_", "otelcol_", "loki_", "prometheus_", "process_", "alertmanager_")
    assert [name for name in KEPT if not name.startswith(programs)] == ["up"]


def test_alloy_keeps_the_same() -> None:
    text = (REPO / "alloy" / "kept.alloy").read_text(encoding="utf-8")
    assert set(re.findall(r'^\t\t\t"(\w+)",$', text, re.MULTILINE)) == KEPT
    assert yaml.safe_load((PROMETHEUS / "kept_metrics.yml").read_text())["kept_metrics"] == kept()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (job) (rate(a_total{b="c{d}", e=~"f|g"}[5m] offset 1h)) > 0', {"a_total"}),
        ('a and on (instance) group_left (x) b unless c or d # e', {"a", "b", "c", "d"}),
        ("job:recorded:rate5m > 1e3 * time() - Inf", set()),
        ("last_over_time(a[$__range:$__interval] @ end()) / $__interval_ms", {"a"}),
        ('label_replace(a, "b", "$1 c", "d", "(.+) (e)")', {"a"}),
    ],
)  # fmt: skip
def test_names_are_read_as_the_parser_reads_them(expression: str, names: set[str]) -> None:
    assert names_in(expression) == names
