"""The rules of dashboard-linter that matter, for every panel type, and a few of our own."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.generator import parameters
from prometheus.generator import counting
from prometheus.generator.records import RECORDS
from tests.dashboards.panels import expected_after_baseline
from tests.dashboards.promql_tree import selectors
from tests.dashboards.queries import DASHBOARDS, Query, View, all_queries, interpolate, load_dashboards
from tests.rules.contract import METRICS

ROOT = DASHBOARDS.parents[1]
LOADED = load_dashboards()
PANELS = [(dashboard, panel) for dashboard in LOADED for panel in dashboard["panels"]]
QUERIES = [query for query in all_queries() if query.kind == "panel"]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
each_dashboard = pytest.mark.parametrize("dashboard", LOADED, ids=lambda dashboard: dashboard["uid"])
each_panel = pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[panel["title"] for _, panel in PANELS])
each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)


def instruments() -> dict[str, set[str]]:
    """Every series of the package, its rules and the rest of the stack, with its labels; histograms taken apart."""
    from hypertool.domain import instruments as table

    found = {name: set(labels) for name, labels in METRICS.items()}
    found["ALERTS"] |= {"component", "severity", "persona", "workflow", "stage"}
    found |= {record.name: set(record.name.split(":")[0].split("_")) for group in RECORDS.values() for record in group}
    for one in vars(table).values():
        if isinstance(one, table.Instrument):
            parts = ("_bucket", "_count", "_sum") if one.buckets else ("",)
            found |= {one.name + part: {*one.labels, *(("le",) if part == "_bucket" else ())} for part in parts}
    return found


def test_committed_dashboards_are_the_generators() -> None:
    """The committed dashboards are what the generator writes."""
    command = [sys.executable, "-m", "grafana.generator", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_drift_check_sees_a_change(tmp_path: Path) -> None:
    generator = [sys.executable, "-m", "grafana.generator", "--output", str(tmp_path)]
    subprocess.run(generator, cwd=ROOT, check=True, capture_output=True)
    changed = tmp_path / "persona_overview.json"
    changed.write_text(changed.read_text(encoding="utf-8").replace('"10s"', '"5s"'), encoding="utf-8")
    result = subprocess.run([*generator, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert '-  "refresh": "5s"' in result.stdout


#: The first panels of each are promised, in their order; alerts link to them by number.
PROMISED = {
    "hypertool-persona-overview": (
        "Hypertool Persona Overview",
        "Persona Switch Rate",
        "Persona Duration Distribution",
        "Token Usage by Persona",
        "Token Budget Remaining",
        "Top Persona Transitions",
    ),
    "hypertool-workflow-performance": (
        "Hypertool Workflow Performance",
        "Workflow Stage Duration",
        "Quality Gate Success Rate",
        "Failed Quality Gates",
        "Slowest Workflow Stages",
        "Workflow Execution Trends",
    ),
    "hypertool-llm-cost": ("Hypertool LLM Cost and Latency",),
    "hypertool-agents": ("Hypertool Agents",),
    "hypertool-pipeline-health": ("Hypertool Pipeline Health",),
}


def test_the_dashboards_are_the_promised_ones() -> None:
    assert {dashboard["uid"] for dashboard in LOADED} == PROMISED.keys()
    for dashboard in LOADED:
        title, *panels = PROMISED[dashboard["uid"]]
        assert dashboard["title"] == title
        assert [panel["title"] for panel in dashboard["panels"]][: len(panels)] == panels


@each_dashboard
@pytest.mark.predecessor("D27", "D28")
def test_files_are_bare_dashboards_for_grafana_9(dashboard: dict[str, Any]) -> None:
    """A file is a bare dashboard that every Grafana from version 9 on reads."""
    assert dashboard["schemaVersion"] == 37
    assert dashboard["id"] is None
    assert "version" not in dashboard
    assert "__inputs" not in dashboard, "does not work with provisioning"
    assert len(dashboard["uid"]) <= 40
    assert dashboard["refresh"] == {"hypertool-persona-overview": "10s"}.get(dashboard["uid"], "30s")


@each_dashboard
def test_panels_have_ids_1_to_n_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    """Panel ids run from 1 to n, and panels do not overlap."""
    assert [panel["id"] for panel in dashboard["panels"]] == list(range(1, len(dashboard["panels"]) + 1))
    for panel in dashboard["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in itertools.combinations(dashboard["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} overlaps {other['title']}"


@each_dashboard
def test_everything_asks_the_variables_data_source(dashboard: dict[str, Any]) -> None:
    """Every query and variable asks the data source that the variable names."""
    sources = [value for name, value in _members(dashboard) if name == "datasource"]
    foreign = [source for source in sources if source != DATASOURCE]
    assert foreign == [{"type": "grafana", "uid": "-- Grafana --"}], "only Grafana's own annotations differ"
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    assert all("datasource" in thing for thing in (*dashboard["panels"], *targets))
    [variable, *_] = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert (variable["name"], variable["label"], variable["query"]) == ("datasource", "Data source", "prometheus")
    assert "current" not in variable, "would pin the data source of the machine it was made on"


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield name, member
            yield from _members(member)
    elif isinstance(value, list):
        for member in value:
            yield from _members(member)


@each_dashboard
def test_variables_reload_and_offer_all(dashboard: dict[str, Any]) -> None:
    """Variables reload, offer "All", and match series that lack the label."""
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    wanted = {
        "hypertool-workflow-performance": ["workflow", "persona", "langfuse_url", "traces"],
        "hypertool-llm-cost": ["persona", "model", "langfuse_url", "traces"],
        "hypertool-agents": ["agent", "persona"],
    }
    assert names == ["datasource", "instance", *wanted.get(dashboard["uid"], [])]
    for variable in (one for one in dashboard["templating"]["list"] if one["type"] == "query"):
        assert (variable["refresh"], variable["multi"], variable["includeAll"]) == (2, True, True)
        assert variable["allValue"] == ".*", "'.+' would drop the series that lack the label"


@each_panel
def test_descriptions_say_good_and_nothing(dashboard: dict[str, Any], panel: dict[str, Any]) -> None:
    """A panel's description says what good looks like and what an empty panel means."""
    assert re.search(r"Good: .{20,}", panel["description"])
    assert len(panel["fieldConfig"]["defaults"]["noValue"].split()) >= 4
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["pluginVersion"], "without one, Grafana applies its migrations from version 6 on"


@each_panel
def test_thresholds_begin_with_a_base_and_rise(dashboard: dict[str, Any], panel: dict[str, Any]) -> None:
    steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert steps[0] is None
    assert steps[1:] == sorted(steps[1:])


@pytest.mark.parametrize(
    ("title", "colors"),
    [
        ("Token Usage by Persona", {0: "green", 1499: "green", 1500: "yellow", 1799: "yellow", 1801: "red"}),
        ("Token Budget Remaining", {-1: "red", 0: "yellow", 499: "yellow", 501: "green"}),
        ("Workflow Stage Duration", {29: "green", 31: "yellow", 59: "yellow", 61: "red"}),
        ("Quality Gate Success Rate", {0.79: "red", 0.81: "yellow", 0.94: "yellow", 0.96: "green"}),
        ("Failed Quality Gates", {0: "green", 1: "yellow", 5: "yellow", 6: "red"}),
        ("Slowest Workflow Stages", {29: "green", 31: "yellow", 61: "red"}),
    ],
)
def test_the_colours_are_the_promised_ones(title: str, colors: dict[float, str]) -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == title]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for value, color in colors.items():
        reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
        assert reached[-1] == color, f"{value} is {reached[-1]}"


@each_query
def test_queries_parse_without_variables_left(query: Query) -> None:
    """A query parses, and no variable is left in it."""
    for chosen in (None, ("one",), ("one", "two.with-odd(chars)")):
        variables = {name: chosen for name in ("instance", "workflow", "persona") if chosen}
        expression = interpolate(query, View(0.0, 900, variables))
        assert "$" not in expression
        assert selectors(expression)


@each_query
def test_queries_use_only_exposed_series(query: Query) -> None:
    """A query uses only series and labels that the package exposes."""
    known = instruments()
    for selector in selectors(interpolate(query, View(0.0))):
        assert selector.metric in known, f"{selector.metric} is neither exposed, recorded, nor of the stack"
        foreign = selector.patterns().keys() - known[selector.metric] - {"instance", "job"}
        # For "All" a match on a label that the series lack lets all of them through; see gates_in().
        allowed = {"persona"} if selector.metric == "hypertool_workflow_quality_gate_total" else set()
        assert foreign <= allowed, f"{selector.metric} has no label {foreign}"


@each_query
@pytest.mark.predecessor("D28")
def test_queries_filter_by_every_possible_variable(query: Query) -> None:
    """A query is filtered by every variable that its labels allow."""
    [dashboard] = [d for d in LOADED if d["uid"] == query.uid]
    variables = {v["name"] for v in dashboard["templating"]["list"] if v["type"] == "query"}
    known = instruments()
    view = View(0.0, 900, {name: (f"chosen-{name}",) for name in variables})
    for selector in selectors(interpolate(query, view)):
        if selector.metric == "hypertool_build_info":
            continue  # joined by job and instance with series that are filtered
        if selector.metric == "ALERTS":
            continue  # an alert may lack the label, so its pattern ends in a bar; the Watchdog is of no host
        for name in variables & (known[selector.metric] | {"instance"}):
            assert selector.patterns().get(name) == f"chosen-{name}", f"{selector.metric} ignores ${name}"


@each_query
def test_counters_are_read_over_the_panels_window(query: Query) -> None:
    """A raw counter shows its whole life; a fixed window ignores the range that the person has chosen."""
    written = set(re.findall(r"\[(\w+)(?::\w+)?\]", query.expr))
    known = counting.KNOWN.partition(":")[0]
    if query.panel == "Last Tokens Used":
        return  # looks at when a counter grew, and not by how much
    assert written <= {parameters.LAST_HOUR, counting.LOOKBACK, known}, f"fixed windows {written}"
    for selector in selectors(interpolate(query, View(0.0))):
        if re.search(r"_(total|bucket|count|sum)$", selector.metric):
            assert selector.window is not None, f"{selector.metric} is used raw"
            assert selector.function.endswith("_over_time") or selector.function == "resets"


@each_query
def test_work_of_a_query_is_bounded(query: Query) -> None:
    """Each mention of a window reads its samples again, and most series are buckets.

    The time of single series in a subquery is worse: Prometheus 2.42 then reads, at each step, all that came before.
    """
    uses = selectors(interpolate(query, View(0)))
    buckets = Counter(one.metric for one in uses if one.window and one.metric.endswith("_bucket"))
    # One more in the heatmap, whose columns are there before anything has happened.
    assert max(buckets.values(), default=0) <= 5, buckets
    assert not re.search(r"timestamp\(\s*hypertool_[^()]*\)", query.expr), "ask for the time of an aggregation"


@each_query
def test_a_legend_uses_labels_that_the_query_keeps(query: Query) -> None:
    kept = set(expected_after_baseline()[query.name].labels)
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= kept


@each_panel
def test_queries_have_the_form_that_the_panel_reads(dashboard: dict[str, Any], panel: dict[str, Any]) -> None:
    """Only "heatmap" undoes cumulative buckets, and a range query gives a bar for every point in time."""
    over_time = {"timeseries": "time_series", "heatmap": "heatmap"}
    now = {"stat": "time_series", "gauge": "time_series", "bargauge": "time_series", "table": "table"}
    for target in panel["targets"]:
        assert target["format"] == (over_time | now)[panel["type"]]
        assert (target["range"], target["instant"]) == (panel["type"] in over_time, panel["type"] in now)
    if panel["type"] == "heatmap":
        assert panel["options"]["calculate"] is False, "the buckets are ready made"
        assert [target["legendFormat"] for target in panel["targets"]] == ["{{le}}"]


def test_links_of_alert_rules_lead_somewhere() -> None:
    """The dashboard links of the alert rules lead to existing dashboards and panels."""
    rules = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
    links = [
        rule["annotations"]["dashboard_url"]
        for file in rules
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    panels = {dashboard["uid"]: len(dashboard["panels"]) for dashboard in LOADED}
    variables = {d["uid"]: {v["name"] for v in d["templating"]["list"]} for d in LOADED}
    for link in links:
        match = re.search(r"/d/([\w-]+)", link)
        assert match, link
        assert match[1] in panels, link
        for panel in re.findall(r"viewPanel=(\d+)", link):
            assert 1 <= int(panel) <= panels[match[1]], link
        assert set(re.findall(r"var-(\w+)=", link)) <= variables[match[1]], link


def test_provisioning_matches_dashboards_and_roles() -> None:
    """Provisioning has the folder, uid and data source that the dashboards and the roles expect."""
    directory = ROOT / "grafana" / "provisioning"
    [source] = yaml.safe_load((directory / "datasources" / "hypertool.yml").read_text(encoding="utf-8"))["datasources"]
    assert (source["uid"], source["type"], source["url"]) == (
        "hypertool-prometheus", "prometheus", "http://127.0.0.1:9090",
    )  # fmt: skip
    assert source["jsonData"]["timeInterval"] == "15s"
    # Without it Grafana writes its own recording rules to a path that only Mimir has.
    assert source["jsonData"]["prometheusType"] == "Prometheus"
    # Grafana logs an error at each start for every one of these that is missing.
    assert {path.name for path in directory.iterdir()} >= {"alerting", "notifiers", "plugins"}
    [provider] = yaml.safe_load((directory / "dashboards" / "hypertool.yml").read_text(encoding="utf-8"))["providers"]
    assert provider["options"]["path"] == "/etc/hypertool/grafana/dashboards"
    assert (provider["allowUiUpdates"], provider["type"]) == (False, "file")
