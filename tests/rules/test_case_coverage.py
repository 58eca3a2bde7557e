"""The cases themselves: promtool accepts a misspelt alert name in silence, and knows no list of scenarios."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.rules.cases import CASE_FILES, NAME, PER_SCRAPE, SCRAPES, all_cases, expand, load, thinned
from tests.rules.contract import SEVERITIES

TESTS: list[dict[str, Any]] = [test for path in CASE_FILES for test in load(path)["tests"]]
NAMES = [str(test["name"]) for test in TESTS]
# Why an alert may have no quiet case.
NEVER_QUIET = {"Watchdog": "it always fires"}
# Scenario of agent traffic -> the cases that show it, by the beginning of their names.
SCENARIOS = {
    "every gate fails, one per 10 min": ["HighQualityGateFailureRate fires: every gate fails, one per 10 min"],
    "15 gates an hour, half failing": ["HighQualityGateFailureRate fires: 15 gates an hour, half failing"],
    "first failures ever, born at 1": ["HighQualityGateFailureRate fires: first failures ever, series born at 1"],
    "each run a 2-min process": ["HighQualityGateFailureRate fires: each run is a 2-min process"],
    "one single failed run in 2 h": ["HighQualityGateFailureRate quiet: one single failed run in 2 h"],
    "restart, gap of 20 min": [
        "HighQualityGateFailureRate quiet: restart with a gap of 20 min, counter not reset",
        "HighQualityGateFailureRate quiet: restart with a gap of 20 min, counter reset",
    ],
    "ping-pong for 2 h": ["ExcessivePersonaSwitching fires: ping-pong of 20 switches a minute for 2 h"],
    "all stages 900 s, buckets end at 10": ["SlowWorkflowStage quiet: all stages 900 s, but no boundary at 300"],
    "all stages 260 s": [
        "SlowWorkflowStage quiet: all stages 260 s",
        "SlowWorkflowStage quiet: all stages 260 s, boundaries 250 and 500 only",
    ],
    "every run slow, one per 30 min": ["SlowWorkflowStage fires: every run slow, one per 30 min"],
    "stage hangs and never ends": ["WorkflowStageStuck fires: a stage hangs and never ends"],
    "budget clamped at 0": [
        "TokenBudgetExceeded quiet: budget used up to exactly 0",
        "TokenBudgetExceeded fires: budget overspent for most of 2 h",
    ],
    "exceeded, process exits after 30 s": [
        "TokenBudgetExceeded quiet: exceeded, and its process and endpoint series are gone after 30 s",
        "TokenBudgetDepletionPredicted quiet: exceeded, and the process is gone after 30 s",
        "TokenBudgetExceeded fires: run of 30 s, then its last value for 15 min",
    ],
    "burst, then idle": [
        "TokenBudgetDepletionPredicted quiet: burst of 60 k in 2 min, then idle",
        "TokenBudgetDepletionPredicted quiet: burst to 20 k left, then idle",
    ],
    "sawtooth of 20-min sessions": ["TokenBudgetDepletionPredicted quiet: sessions of 20 min"],
    "true depletion 50 k an hour": ["TokenBudgetDepletionPredicted fires: true depletion, 50 k an hour"],
    "predicted while exceeded": ["TokenBudgetDepletionPredicted quiet: exceeded already"],
    "target down, removed, never configured, empty": [
        "HypertoolMetricsNotReported fires: target down",
        "HypertoolMetricsNotReported fires: target removed from discovery",
        "HypertoolMetricsNotReported fires: target never configured",
        "HypertoolMetricsNotReported fires: up, but exports nothing of ours",
    ],
    "every second scrape fails": ["HypertoolScrapesUnreliable fires: every second scrape fails"],
    "Langfuse dead": [
        "LangfuseIntegrationFailing fires: Langfuse dead, counter flat",
        "LangfuseIntegrationFailing fires: Langfuse dead, counter never created",
        "LangfuseIntegrationFailing fires: Langfuse dead, one short workflow",
    ],
    "Langfuse healthy": ["LangfuseIntegrationFailing quiet: Langfuse healthy, batches every 5 min"],
}


def _fired(test: dict[str, Any]) -> set[str]:
    """The alerts that a case expects to have fired at any time."""
    for check in test["promql_expr_test"]:
        if str(check["expr"]).startswith("count by (alertname) (count_over_time(ALERTS"):
            labels = " ".join(str(sample["labels"]) for sample in check["exp_samples"])
            return set(re.findall(r'alertname="(\w+)"', labels))
    raise AssertionError(f"{test['name']}: no check of everything that fired")


@pytest.mark.parametrize("test", TESTS, ids=NAMES)
def test_a_case_expects_what_its_name_says(test: dict[str, Any]) -> None:
    name = NAME.match(test["name"])
    assert name, "a case is named '<Alert> fires: ...' or '<Alert> quiet: ...'"
    alert, fires = name["alert"], name["verdict"] == "fires"
    fired = _fired(test) | ({"Watchdog"} if alert == "Watchdog" else set())
    assert (alert in fired) == fires
    for check in test.get("alert_rule_test", []):
        assert check["alertname"] in SEVERITIES, "no such alert: promtool would let it pass"
    assert fired <= SEVERITIES.keys(), "no such alert: promtool would let it pass"


@pytest.mark.parametrize("alert", SEVERITIES)
def test_every_alert_has_a_firing_and_a_quiet_case(alert: str) -> None:
    """Every alert fires in one case and stays quiet in another."""
    assert any(name.startswith(f"{alert} fires: ") for name in NAMES)
    if alert not in NEVER_QUIET:
        assert any(name.startswith(f"{alert} quiet: ") for name in NAMES)


@pytest.mark.parametrize("alert", SEVERITIES)
def test_the_texts_of_every_alert_are_compared_once(alert: str) -> None:
    checks = [check for test in TESTS for check in test.get("alert_rule_test", [])]
    assert any(check["alertname"] == alert and check["exp_alerts"] for check in checks)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_a_named_case(scenario: str) -> None:
    for beginning in SCENARIOS[scenario]:
        assert any(name.startswith(beginning) for name in NAMES), f"no case named {beginning!r}"


def test_names_are_unique_and_cases_run_at_both_rates() -> None:
    """Names are unique, and every case runs at both scrape intervals."""
    assert len(set(NAMES)) == len(NAMES)
    assert len(all_cases()) == len(NAMES) * len(SCRAPES)


def test_the_slower_scrape_sees_every_fourth_sample() -> None:
    assert expand("1x2 0+5x3 _x2 stale 7") == ["1", "1", "1", "0", "5", "10", "15", "_", "_", "stale", "7"]
    assert thinned(expand("0+1x9"), 4) == ["0", "4", "8"]
    assert thinned(expand("1x4 stale _x5"), 4) == ["1", "1", "stale"]
    slow = {case.name: case for case in all_cases() if case.scrape == max(SCRAPES)}
    for test in TESTS:
        series = slow[test["name"]].document["tests"][0]["input_series"]
        for before, after in zip(test["input_series"], series, strict=True):
            kept = 1 if PER_SCRAPE in test["name"] else 4
            assert len(after["values"].split()) == -(-len(expand(before["values"])) // kept)
