"""Every query of every panel and variable gives the right data from a real Prometheus."""

from __future__ import annotations

import math

import pytest

from tests.dashboards.backfill import Host
from tests.dashboards.panels import (
    Fetch,
    baseline_deviations,
    deviations,
    expected_after_baseline,
    run,
    variable_values,
)
from tests.dashboards.queries import Query, View, all_queries, panel_query
from tests.dashboards.scenarios import NEW_HOSTS

QUERIES = all_queries()
PANEL_QUERIES = [query for query in QUERIES if query.kind == "panel"]
RANGES = {"15m": 900, "6h": 21600, "7d": 604800}
OVERVIEW, WORKFLOW = "hypertool-persona-overview", "hypertool-workflow-performance"


def view(end: float, instance: str | None, range_: str = "6h", **chosen: tuple[str, ...]) -> View:
    variables = chosen | ({"instance": (instance,)} if instance else {})
    # Half a second after the last scrape, as a person would look.
    return View(end + 0.5, RANGES[range_], variables)


def values(fetch: Fetch, query: Query, seen: View, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels.get(label, "") for label in labels): one.last for one in run(query, seen, fetch)}


def test_every_panel_has_an_expectation() -> None:
    assert {query.name for query in PANEL_QUERIES} == expected_after_baseline().keys()


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("host", NEW_HOSTS, ids=lambda host: host.instance)
def test_the_first_run_counts(host: Host, range_: str, filled: Fetch, end: float) -> None:
    seen = view(end, host.instance, range_)
    if range_ == "7d":  # its columns are an hour wide, and the last one is not complete yet
        seen = View(end + 3600, seen.range_seconds, seen.variables)
        # Of the last hour, or of now.
        skipped = (
            "Token Usage",
            "Budget",
            "Top Persona",
            "Failed Quality",
            "Endpoints",
            "Files of the Store",
            "Last Tokens",
        )
        problems = [p for p in baseline_deviations(seen, filled) if not any(name in p for name in skipped)]
    else:
        problems = baseline_deviations(seen, filled)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_no_query_fails_on_an_empty_prometheus(query: Query, empty: Fetch, end: float) -> None:
    for range_ in RANGES:
        seen = view(end, None, range_)
        if query.kind == "variable":
            assert variable_values(query, seen, empty) == []
        else:
            assert run(query, seen, empty) == []


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_queries_answer_over_all_hosts_without_nan(query: Query, range_: str, filled: Fetch, end: float) -> None:
    """Every query answers over all hosts, and never with NaN."""
    seen = view(end, None, range_)
    if query.kind == "variable":
        assert variable_values(query, seen, filled)
    elif query.kind == "panel":
        series = run(query, seen, filled)
        assert series
        assert not [one for one in series if any(math.isnan(value) for _, value in one.points)]
        wanted = expected_after_baseline()[query.name].labels
        assert all(set(wanted) == set(one.labels) for one in series), "the legend and the columns need these labels"


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("query", PANEL_QUERIES, ids=lambda query: query.name)
def test_host_without_runs_shows_only_its_budgets(query: Query, range_: str, filled: Fetch, end: float) -> None:
    """Gates and stage counts that are still 0 are "no runs", neither 0 % nor NaN; the panel says so in words."""
    series = run(query, view(end, "idle", range_), filled)
    if query.panel == "Token Budget Remaining":
        assert len(series) == 6
    elif query.panel in ("Endpoints", "Files of the Store"):
        assert len(series) <= 1
    else:
        assert [one for one in series if one.total] == []
        assert query.panel == "Persona Switch Rate" or series == []


def test_a_run_after_a_long_gap_is_counted_alone(filled: Fetch, end: float) -> None:
    """The eleven runs of the counter's life are not shown as those of the last hour."""
    for range_ in ("15m", "6h"):
        problems = baseline_deviations(view(end, "after-long-gap", range_), filled)
        assert not problems, "\n".join(problems)


def test_a_first_run_after_a_long_gap_is_counted(filled: Fetch, end: float) -> None:
    """It is newborn, unlike what was there in the first scrape after the gap."""
    problems = baseline_deviations(view(end, "born-after-gap", "15m"), filled)
    assert not problems, "\n".join(problems)


def test_run_in_a_gap_counts_when_scraping_resumes(filled: Fetch, end: float) -> None:
    """A run inside a gap is counted when scraping resumes."""
    problems = baseline_deviations(view(end, "run-in-gap", "6h"), filled)
    assert not problems, "\n".join(problems)


def test_switch_rate_is_0_before_the_first_switch(filled: Fetch, end: float) -> None:
    """The switch rate is 0 before the first switch, and unknown while nothing is scraped.

    So the mean in the legend is that of the range, and an outage does not look like quiet.
    """
    query = panel_query(OVERVIEW, "Persona Switch Rate")
    [*_, newborn] = run(query, view(end, "idle-first"), filled)
    quiet = [value for _, value in newborn.points if value == 0]
    assert (len(newborn.points), len(quiet)) == (181, 180)
    [*_, gap] = run(query, view(end, "after-long-gap"), filled)
    assert {value for time, value in gap.points if time < end - 14 * 60} == set()
    assert gap.points[-1][0] >= end - 120


def test_a_purge_starts_the_counts_again(filled: Fetch, end: float) -> None:
    """In the last hour there was one run, after the purge; the five before it are older."""
    seen = view(end, "purged", "15m")
    problems = baseline_deviations(seen, filled)
    assert not problems, "\n".join(problems)
    # Over six hours the purge lies inside the window. The totals are the same; the graphs keep their history.
    seen, expected = view(end, "purged", "6h"), expected_after_baseline()
    for query in (query for query in PANEL_QUERIES if query.instant):
        assert deviations(query, seen, run(query, seen, filled), expected[query.name]) == []
    trends = run(panel_query(WORKFLOW, "Workflow Execution Trends"), seen, filled)
    assert [one.total for one in trends] == [18]


def test_after_a_purge_only_what_came_after_it_counts(filled: Fetch, end: float) -> None:
    """Also when the counters are higher again than at the start of the window."""
    switches = panel_query(OVERVIEW, "Top Persona Transitions")
    found = values(filled, switches, view(end, "purged-and-busy"), "to_persona")
    assert found == {("backend-engineer",): 2, ("testing-specialist",): 2, ("devops-engineer",): 2}


def test_a_week_counts_every_run_of_the_week(filled: Fetch, end: float) -> None:
    calls = values(filled, panel_query("hypertool-llm-cost", "Calls by Outcome"), view(end, "week", "7d"), "outcome")
    assert calls == {("success",): 60}
    problems = baseline_deviations(view(end, "week", "15m"), filled)
    assert not problems, "\n".join(problems)


def test_success_rate_counts_failed_and_undeclared(filled: Fetch, end: float) -> None:
    """The success rate counts failed runs and undeclared workflows."""
    seen = view(end, "failing")
    overall = values(filled, panel_query(WORKFLOW, "Quality Gate Success Rate", "A"), seen)
    by_workflow = values(filled, panel_query(WORKFLOW, "Quality Gate Success Rate", "B"), seen, "workflow")
    assert overall == {(): pytest.approx(12 / 21)}
    assert by_workflow == {
        ("package_release",): pytest.approx(9 / 11),
        ("bug_fix",): pytest.approx(2 / 3),
        ("nightly",): 0,
        ("docs",): 1,
    }


def test_failed_gates_are_ranked_without_passed_ones(filled: Fetch, end: float) -> None:
    """Failed gates are ranked; stages that passed are not in the list."""
    series = run(panel_query(WORKFLOW, "Failed Quality Gates"), view(end, "failing", "15m"), filled)
    ranked = [(one.labels["stage"], one.last) for one in series]
    assert ranked == [("cleanup", 6), ("version_bump", 2), ("testing_validation", 1)]


def test_the_slowest_stage_comes_first(filled: Fetch, end: float) -> None:
    rows = run(panel_query(WORKFLOW, "Slowest Workflow Stages", "A"), view(end, "failing"), filled)
    first = rows[0]
    assert (first.labels["stage"], first.labels["persona"]) == ("testing_validation", "testing-specialist")
    assert 300 < first.last <= 600


def test_the_workflow_variable_filters(filled: Fetch, end: float) -> None:
    for query in (query for query in PANEL_QUERIES if query.uid == WORKFLOW):
        series = run(query, view(end, "failing", workflow=("bug_fix",)), filled)
        assert series, query.name
        if "workflow" in expected_after_baseline()[query.name].labels:
            assert {one.labels["workflow"] for one in series} == {"bug_fix"}, query.name
    rate = panel_query(WORKFLOW, "Quality Gate Success Rate", "A")
    assert values(filled, rate, view(end, "failing", workflow=("bug_fix",))) == {(): pytest.approx(2 / 3)}
    two = view(end, "failing", workflow=("bug_fix", "nightly"))
    assert values(filled, rate, two) == {(): pytest.approx(2 / 9)}


def test_persona_filters_stages_by_their_label(filled: Fetch, end: float) -> None:
    """The variable `persona` filters stages by their label."""
    slowest = panel_query(WORKFLOW, "Slowest Workflow Stages")
    seen = view(end, "failing", persona=("data-scientist",))
    assert values(filled, slowest, seen, "persona", "stage").keys() == {("data-scientist", "testing_validation")}
    for ref in "AB":
        drawn = run(panel_query(WORKFLOW, "Workflow Stage Duration", ref), seen, filled)
        assert [one.labels["stage"] for one in drawn] == ["testing_validation"]


def test_persona_filters_gates_by_its_stages(filled: Fetch, end: float) -> None:
    """The variable `persona` filters gates by the stages that the persona did."""
    failed = panel_query(WORKFLOW, "Failed Quality Gates")
    rate = panel_query(WORKFLOW, "Quality Gate Success Rate", "A")
    trends = panel_query(WORKFLOW, "Workflow Execution Trends")
    backend = view(end, "failing", persona=("backend-engineer",))
    assert values(filled, failed, backend, "stage") == {("version_bump",): 2}
    assert values(filled, rate, backend) == {(): pytest.approx(3 / 5)}
    assert {one.labels["workflow"] for one in run(trends, backend, filled)} == {"package_release"}
    both = view(end, "failing", persona=("backend-engineer", "devops-engineer"))
    assert values(filled, rate, both) == {(): pytest.approx(7 / 9)}


def test_hosts_add_up_and_the_scarcest_budget_is_shown(filled: Fetch, end: float) -> None:
    pair = View(end + 0.5, 900, {"instance": ("new-5s", "new-60s")})
    used = values(filled, panel_query(OVERVIEW, "Token Usage by Persona"), pair, "persona")
    assert used == {("backend-engineer",): 1700, ("testing-specialist",): 1300, ("devops-engineer",): 1100}
    pair = View(end + 0.5, 900, {"instance": ("new-5s", "idle")})
    left = values(filled, panel_query(OVERVIEW, "Token Budget Remaining"), pair, "persona")
    assert (left[("backend-engineer",)], left[("data-scientist",)]) == (1150, 1700)


def test_the_variables_offer_what_is_there(filled: Fetch, end: float) -> None:
    offers = {
        query.name: variable_values(query, view(end, "failing"), filled)
        for query in QUERIES
        if query.kind == "variable" and query.uid == WORKFLOW
    }
    assert offers[f"{WORKFLOW}/$workflow/variable"] == ["bug_fix", "docs", "nightly", "package_release"]
    assert "backend-engineer" in offers[f"{WORKFLOW}/$persona/variable"]
    assert {"new-5s", "idle", "failing"} <= set(offers[f"{WORKFLOW}/$instance/variable"])


def test_the_stack_host_shows_in_every_new_panel(filled: Fetch, end: float) -> None:
    """Three calls that worked and three that failed, with the figures that a person would add up by hand."""
    seen = view(end, "stack", "6h")

    def shown(uid: str, panel: str, *labels: str, ref: str = "A") -> dict[tuple[str, ...], float]:
        return values(filled, panel_query(uid, panel, ref), seen, *labels)

    cost, agents, pipeline = "hypertool-llm-cost", "hypertool-agents", "hypertool-pipeline-health"
    assert shown(cost, "Cost") == {(): pytest.approx(0.75)}
    assert shown(cost, "Calls by Outcome", "outcome") == {("success",): 3, ("error",): 3}
    assert shown(cost, "Cache Hit Ratio", "model") == {("large",): pytest.approx(0.8)}
    assert shown(cost, "Unknown Usage") == {(): 3}
    assert shown(cost, "Cost of a Call", "model") == {("large",): pytest.approx(0.125)}
    assert shown(OVERVIEW, "Failed LLM Calls") == {(): 3}
    assert shown(OVERVIEW, "Alerts Firing") == {(): 1}
    assert shown(agents, "Active Sessions", "agent") == {("claude-code",): 2}
    assert shown(agents, "Tokens by Agent and Persona", "persona") == {("backend-engineer",): 4650}
    assert shown(agents, "Stopped by a Budget", "agent") == {("claude-code",): 3}
    assert shown(agents, "Records Not Understood", "reason") == {("no_id",): 3}
    assert shown(agents, "Where Calls Were Found", "source") == {("session_file",): 3}
    assert shown(pipeline, "Firing Alerts", "alertname", "persona") == {("TokenBudgetExceeded", "backend-engineer"): 1}
    assert shown(pipeline, "Last Export", "sink") == {("langfuse",): 1.7e12}
    assert shown(pipeline, "Delay of Metrics", "instance") == {("stack",): 70_000}
    assert shown(pipeline, "Values Beyond the Label Limit", "label") == {("model",): 9}
    assert shown(pipeline, "Free Disk Space", "mountpoint") == {("/var",): pytest.approx(0.04)}
    spent = run(panel_query(cost, "Cost over Time"), seen, filled)
    assert [one.total for one in spent] == [pytest.approx(0.75)]
    tokens = {one.labels["kind"]: one.total for one in run(panel_query(cost, "Tokens by Kind"), seen, filled)}
    assert tokens == {"input": 300, "cache_read": 2400, "cache_write": 300, "output": 1500, "reasoning": 150}


def test_one_run_gives_the_heatmap_two_columns(filled: Fetch, end: float) -> None:
    """Grafana takes the width of a cell from two columns: with one it draws nothing."""
    query = panel_query(OVERVIEW, "Persona Duration Distribution")
    for host in ("new-15s", "late-15s"):
        series = run(query, view(end, host, "15m"), filled)
        assert min(len(one.points) for one in series) > 1
        assert {one.total for one in series if one.labels["le"] == "+Inf"} == {3}


def test_the_last_tokens_are_those_of_the_last_run(filled: Fetch, end: float) -> None:
    query = panel_query(OVERVIEW, "Last Tokens Used")
    for host, ago in (("new-60s", 6), ("after-long-gap", 10), ("week", 9)):
        [found] = run(query, view(end, host), filled)
        assert found.last / 1000 == pytest.approx(end - ago * 60, abs=330 if host == "week" else 130)
