"""From nothing to right figures: check mode, one play on two releases at once, an empty Prometheus, one baseline."""

from __future__ import annotations

import time

import pytest
from testinfra.host import Host

from tests.dashboards.panels import baseline_deviations, run, variable_values
from tests.dashboards.queries import View, all_queries
from tests.hosts.conftest import SECRET
from tests.support.box import until
from tests.support.fleet import Fleet, Play, differences, on_all, prometheus, value

pytestmark = pytest.mark.host

PERSONAS = {
    "backend-engineer": 1150, "testing-specialist": 850, "devops-engineer": 1250,
    "frontend-engineer": 1800, "observability-expert": 2000, "data-scientist": 1700,
}  # fmt: skip
FIGURES = {
    'hypertool_persona_tokens_used_total{persona="backend-engineer"}': 850,
    'hypertool_persona_tokens_used_total{persona="testing-specialist"}': 650,
    'hypertool_persona_tokens_used_total{persona="devops-engineer"}': 550,
    **{f'hypertool_persona_token_budget_remaining{{persona="{name}"}}': left for name, left in PERSONAS.items()},
    'sum(hypertool_workflow_quality_gate_total{workflow="package_release",result="pass"})': 3,
    'sum(hypertool_workflow_quality_gate_total{result="fail"})': 0,
    'sum(hypertool_workflow_stage_duration_seconds_count{workflow="package_release"})': 3,
    "sum(hypertool_persona_switches_total)": 3,
    'sum(hypertool_persona_switches_total{from_persona="none"})': 1,
}


def test_check_mode_on_a_virgin_host_changes_nothing(
    fleet: Fleet, fresh: dict[str, dict[str, object]], rehearsal: Play
) -> None:
    rehearsal.succeeded()
    after = fleet.snapshots()
    assert {name: differences(fresh[name], after[name]) for name in fresh} == {name: [] for name in fresh}
    assert all(rehearsal.recap[name]["changed"] > 5 for name in fresh), "it has to say what it would change"


def test_one_play_installs_both_releases(installed: Play, fleet: Fleet) -> None:
    assert set(installed.recap) == set(fleet.hosts)
    assert all(told["failed"] == told["unreachable"] == told["rescued"] == 0 for told in installed.recap.values())


def test_no_secret_is_shown_by_a_play(rehearsal: Play, installed: Play) -> None:
    assert SECRET not in rehearsal.output
    assert SECRET not in installed.output


def test_every_query_is_fine_on_an_empty_prometheus(installed: Play, fleet: Fleet, name: str) -> None:
    host = fleet.hosts[name]
    assert not value(host, "sum(hypertool_persona_tokens_used_total)"), "some run was here before"
    assert_every_query_runs(host)


def assert_every_query_runs(host: Host) -> None:
    view = View(end=float(host.check_output("date +%s.%N")))
    fetch = prometheus(host)
    for query in all_queries():
        if query.kind == "variable":
            variable_values(query, view, fetch)
        else:
            run(query, view, fetch)


@pytest.fixture(scope="session")
def baselines(installed: Play, fleet: Fleet) -> dict[str, str]:
    """One baseline run on each host, whose process has ended when this returns."""
    assert installed.code == 0
    return on_all(fleet.hosts, lambda host: host.check_output("hypertool baseline"))


def test_the_baselines_figures_are_in_prometheus(baselines: dict[str, str], fleet: Fleet, name: str) -> None:
    host = fleet.hosts[name]
    got: dict[str, float | None] = {}

    def all_right() -> bool | None:
        got.update({expression: value(host, expression) for expression in FIGURES})
        return True if got == FIGURES else None

    try:
        until("the figures of the baseline", 60, all_right)
    except AssertionError as error:
        wrong = {key: (got.get(key), wanted) for key, wanted in FIGURES.items() if got.get(key) != wanted}
        raise AssertionError(f"{error}; (got, expected): {wrong}") from error


def test_every_panel_shows_the_baseline_right_after_it(baselines: dict[str, str], fleet: Fleet, name: str) -> None:
    host = fleet.hosts[name]
    fetch = prometheus(host)
    seen: list[str] = []

    def all_right() -> bool | None:
        seen[:] = baseline_deviations(View(end=float(host.check_output("date +%s.%N"))), fetch)
        return True if not seen else None

    try:
        until("the panels to show the baseline", 60, all_right)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *seen])) from error
    assert_every_query_runs(host)


def test_variables_offer_what_ran(baselines: dict[str, str], fleet: Fleet, name: str) -> None:
    host = fleet.hosts[name]
    view, fetch = View(end=time.time()), prometheus(host)
    offered = {query.panel: variable_values(query, view, fetch) for query in all_queries() if query.kind == "variable"}
    assert "package_release" in offered["$workflow"]
    assert {"backend-engineer", "testing-specialist", "devops-engineer"} <= set(offered["$persona"])
    assert offered["$instance"] == [name]


def test_a_second_play_changes_nothing(baselines: dict[str, str], fleet: Fleet) -> None:
    again = fleet.play("site.yml", "--diff").succeeded()
    assert {name: again.changed(name) for name in fleet.hosts} == {name: [] for name in fleet.hosts}
    assert all(told["changed"] == 0 for told in again.recap.values())


def test_check_mode_reports_drift_and_nothing_else(fleet: Fleet, installed: Play) -> None:
    """Check mode on an installed host reports nothing to do, and reports drift."""
    drift = "/etc/hypertool/prometheus/rules/recording.yml"
    first, second = fleet.hosts
    fleet.hosts[second].check_output(f"sed -i '1s/$/ # drift/' {drift}")
    looked = fleet.play("site.yml", "--check", "--diff").succeeded()
    assert looked.changed(first) == []
    assert len(looked.changed(second)) >= 1
    assert "# drift" in looked.output
    assert "# drift" in fleet.hosts[second].file(drift).content_string, "check mode may not repair it"
    fleet.hosts[second].check_output(f"sed -i '1s/ # drift$//' {drift}")
