"""What has to hold for every rule: names and labels of the contract, ranges, texts, links that lead somewhere."""

from __future__ import annotations

import json
import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser
import pytest

from prometheus.generator import records as generated
from prometheus.generator.counting import KNOWN_COLLECTOR
from tests.rules.cases import PROMETHEUS, REPO, RULE_FILES, load
from tests.rules.conftest import run
from tests.rules.contract import ANNOTATIONS, METRICS, OF_THE_FLEET, SEVERITIES, SLOWEST_SCRAPE
from tests.rules.promql import arms, compares, grouping_labels, kept_labels, matched_labels, ranges, selectors
from tests.rules.runbook_blocks import sections

GROUPS: list[dict[str, Any]] = [group for path in RULE_FILES for group in load(path)["groups"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
RECORDS = {rule["record"]: promql_parser.parse(rule["expr"]) for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
EXPRESSIONS = {rule.get("record") or rule["alert"]: promql_parser.parse(rule["expr"]) for rule in RULES}
KNOWN = dict(METRICS)
for _record, _expr in RECORDS.items():  # in their order, so that one may use those before it
    KNOWN[_record] = kept_labels(_expr, KNOWN) or frozenset()
TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
COUNTED = sorted(RECORDS.keys() - {KNOWN_COLLECTOR})


def test_the_alerts_are_those_of_the_contract() -> None:
    found = {name: (rule["labels"]["severity"], rule["labels"]["category"]) for name, rule in ALERTS.items()}
    assert found == SEVERITIES


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_only_promised_metrics_and_labels_are_used(name: str) -> None:
    used: set[str] = set()
    for selector in selectors(EXPRESSIONS[name]):
        assert selector.name in KNOWN, f"{selector.name} is neither a promised metric nor recorded"
        unknown = matched_labels(selector) - KNOWN[selector.name]
        assert not unknown, f"{selector.name} has no label {unknown}"
        used |= KNOWN[selector.name]
    assert grouping_labels(EXPRESSIONS[name]) <= used


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_range_holds_four_of_the_slowest_scrapes(name: str) -> None:
    for seconds in ranges(EXPRESSIONS[name]):
        assert seconds >= 4 * SLOWEST_SCRAPE


@pytest.mark.parametrize("name", COUNTED)
def test_a_record_is_named_after_the_labels_it_keeps(name: str) -> None:
    level, measured, _ = name.split(":")
    assert level == "_".join(sorted(KNOWN[name], key=level.find))
    assert str(selectors(RECORDS[name])[0].name).removesuffix("_total") in measured


def test_generated_rules_are_up_to_date() -> None:
    """Recording rules come from prometheus/generator, whose forms the cases of prometheus/tests prove."""
    checked = run(sys.executable, "-m", "prometheus.generator", "--check", folder=REPO)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    blocks = [
        name for path in RULE_FILES for name in re.findall(r"# <records (\w+)>", path.read_text(encoding="utf-8"))
    ]
    assert sorted(blocks) == sorted(generated.RECORDS), "a group of records.py has no place in a rule file"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["name"])
def test_a_group_fits_grafana_cloud_and_grafana(group: dict[str, Any]) -> None:
    """Mimir refuses a group of more than 20 rules, Grafana one whose interval is no multiple of 10 s."""
    assert len(group["rules"]) <= 20
    assert re.fullmatch(r"[1-9]\d*0s|[1-9]\d*m", group["interval"])


def test_every_record_is_used() -> None:
    used = {selector.name for expr in EXPRESSIONS.values() for selector in selectors(expr)}
    assert RECORDS.keys() <= used


@pytest.mark.parametrize("name", sorted(ALERTS.keys() - {"Watchdog"}))
def test_alerts_compare_something_and_wait(name: str) -> None:
    for arm in arms(EXPRESSIONS[name]):
        assert compares(arm), f"fires for every series: {arm.prettify()}"
    assert ALERTS[name].get("for"), "an alert that fires on one sample is not wanted"


@pytest.mark.parametrize("name", ALERTS)
def test_labels_and_annotations_are_complete(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["component"] == "hypertool"
    assert set(rule["labels"]) == {"severity", "category", "component"}
    assert sorted(rule["annotations"]) == sorted(ANNOTATIONS)
    for key, text in rule["annotations"].items():
        assert text.strip() == text, f"{key} has blanks around it"
        assert "\n" not in text.strip() or "{{" in text, f"{key} has line breaks"
    assert "$value" not in str(rule["labels"]), "a value in a label makes a new alert of each evaluation"
    if "$value" in rule["annotations"]["description"]:
        assert "Current" in rule["annotations"]["description"]


@pytest.mark.parametrize("name", ALERTS)
def test_texts_name_only_labels_that_are_kept(name: str) -> None:
    """Annotations name only labels that the expression keeps."""
    kept = kept_labels(EXPRESSIONS[name], KNOWN) or frozenset()
    for text in ALERTS[name]["annotations"].values():
        certain = re.sub(r"\{\{-? with \$labels\.\w+.*?end -?\}\}", "", text, flags=re.DOTALL)
        assert set(TEMPLATE_LABEL.findall(certain)) <= kept


@pytest.mark.parametrize("name", ALERTS)
def test_actions_name_commands_that_every_host_has(name: str) -> None:
    assert not re.search(r"\b(curl|wget|jq)\b", ALERTS[name]["annotations"]["action"])


@pytest.mark.parametrize("name", sorted(ALERTS.keys() - OF_THE_FLEET - {"HypertoolMetricsNotReported"}))
def test_alerts_keep_job_and_instance(name: str) -> None:
    assert {"job", "instance"} <= (kept_labels(EXPRESSIONS[name], KNOWN) or frozenset())


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_urls_lead_to_a_section(name: str) -> None:
    url = ALERTS[name]["annotations"]["runbook_url"]
    assert url == f"http://localhost:9090/user/runbook.html#{name.lower()}"
    assert name in sections()
    assert f'id="{name.lower()}"' in (PROMETHEUS / "web" / "runbook.html").read_text(encoding="utf-8")


def _dashboards() -> dict[str, dict[str, Any]]:
    found = (json.loads(path.read_text(encoding="utf-8")) for path in (REPO / "grafana" / "dashboards").glob("*.json"))
    return {dashboard["uid"]: dashboard for dashboard in found}


@pytest.mark.parametrize("name", ALERTS)
def test_dashboard_urls_lead_to_a_panel(name: str) -> None:
    """Dashboard URLs lead to a panel and set variables that exist."""
    url = urlsplit(re.sub(r"\{\{.*?\}\}", "x", ALERTS[name]["annotations"]["dashboard_url"]))
    assert f"{url.scheme}://{url.netloc}" == "http://localhost:3000"
    dashboards = _dashboards()
    uid, query = url.path.removeprefix("/d/"), parse_qs(url.query)
    assert uid in dashboards, f"no dashboard {uid} in grafana/dashboards"
    variables = {f"var-{variable['name']}" for variable in dashboards[uid]["templating"]["list"]}
    panels = {str(panel["id"]) for panel in dashboards[uid]["panels"]}
    assert {key for key in query if key.startswith("var-")} <= variables
    assert set(query.get("viewPanel", [])) <= panels


def test_the_exporter_has_every_metric_that_rules_use() -> None:
    instruments = pytest.importorskip("hypertool.domain.instruments", reason="the package is not importable here")
    served: dict[str, set[str]] = {}
    for instrument in instruments.ALL:
        endings = ("_bucket", "_sum", "_count") if instrument.type == "histogram" else ("",)
        for ending in endings:
            served[instrument.name + ending] = {*instrument.labels, *(["le"] if ending == "_bucket" else [])}
    for name, labels in METRICS.items():
        if name.startswith("hypertool_"):
            assert name in served, f"the exporter does not serve {name}"
            assert labels - {"job", "instance"} <= served[name]
    stage = next(item for item in instruments.ALL if item.name == "hypertool_workflow_stage_duration_seconds")
    assert 300 in stage.buckets, "SlowWorkflowStage counts at this boundary"
