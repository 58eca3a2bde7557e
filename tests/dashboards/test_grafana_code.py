"""What the panels show, computed by Grafana's own library: columns, order, texts, colours, units."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.npm import installed
from tests.dashboards.panels import Fetch, run
from tests.dashboards.queries import View, load_dashboards, panel_queries

#: The oldest and the newest of the library that the dashboards are meant for, and one in between.
VERSIONS = ("9.4.7", "11.6.0", "13.2.3")
SCRIPT = Path(__file__).with_name("grafana_code.cjs")


@pytest.fixture(scope="session", params=VERSIONS)
def library(request: pytest.FixtureRequest) -> Path:
    """A directory in which this version of @grafana/data is installed."""
    version: str = request.param
    return installed(f"grafana-data-{version}")


@dataclass(frozen=True)
class Shown:
    """A table's rows in order, and of every panel with single values each title with its text and colour."""

    rows: list[dict[str, Any]]
    cells: list[tuple[str, str, str]]


def show(library: Path, view: View | None, fetch: Fetch | None) -> tuple[dict[str, Shown], set[str]]:
    """Every panel by title, and the units that this version of Grafana knows."""
    panels: list[Mapping[str, Any]] = []
    for dashboard in load_dashboards():
        queries = {(query.panel, query.ref): query for query in panel_queries(dashboard)}
        for panel in dashboard["panels"]:
            results: dict[str, list[dict[str, Any]]] = {}
            for target in panel["targets"]:
                found = run(queries[panel["title"], target["refId"]], view, fetch) if view and fetch else []
                results[target["refId"]] = [{"metric": one.labels, "values": one.points} for one in found]
            panels.append({"panel": panel, "results": results})
    command = ["node", str(SCRIPT), str(library)]
    answer = subprocess.run(command, input=json.dumps({"panels": panels}), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    output = json.loads(answer.stdout)
    shown = {
        one["panel"]["title"]: Shown(got["rows"], [(c["title"].rstrip(), c["text"], c["color"]) for c in got["cells"]])
        for one, got in zip(panels, output["panels"], strict=True)
    }
    return shown, set(output["units"])


def test_grafana_knows_every_unit(library: Path) -> None:
    _, units = show(library, None, None)
    fields = [p["fieldConfig"] for d in load_dashboards() for p in d["panels"]]
    used = {field["defaults"]["unit"] for field in fields} | {"s"}  # of the heatmap's axis
    for field in fields:
        used |= {one["value"] for o in field["overrides"] for one in o["properties"] if one["id"] == "unit"}
    # A unit of one's own is a prefix or a suffix, and no list has it.
    assert {unit for unit in used if not unit.startswith("suffix:")} <= units


def test_a_baseline_reads_as_it_should(library: Path, filled: Fetch, end: float) -> None:
    shown, _ = show(library, View(end + 0.5, 900, {"instance": ("new-15s",)}), filled)
    assert sorted(shown["Token Usage by Persona"].cells) == [
        ("backend-engineer", "850", "green"),
        ("devops-engineer", "550", "green"),
        ("testing-specialist", "650", "green"),
    ]
    assert ("testing-specialist of 1500", "850", "green") in shown["Token Budget Remaining"].cells
    assert ("backend-engineer of 2000", "1,150", "green") in shown["Token Budget Remaining"].cells
    assert shown["Quality Gate Success Rate"].cells == [
        ("All workflows", "100.0%", "green"),
        ("package_release", "100.0%", "green"),
    ]
    assert shown["Failed Quality Gates"].cells == [("all stages (none failed)", "0", "green")]
    transitions = shown["Top Persona Transitions"].rows
    assert [list(row) for row in transitions] == [["From Persona", "To Persona", "Chatmode", "Switches"]] * 3
    assert {(row["From Persona"], row["Switches"]) for row in transitions} == {
        ("none", 1),
        ("backend-engineer", 1),
        ("testing-specialist", 1),
    }


def test_slowest_stages_are_ten_at_most_and_sorted(library: Path, filled: Fetch, end: float) -> None:
    """The slowest stages are ten rows at most, the slowest first."""
    shown, _ = show(library, View(end + 0.5, 21600, {"instance": ("failing",)}), filled)
    table = shown["Slowest Workflow Stages"]
    assert [list(row) for row in table.rows] == [["Workflow", "Stage", "Persona", "p95"]] * 6
    assert [row["p95"] for row in table.rows] == sorted((row["p95"] for row in table.rows), reverse=True)
    assert [(text, color) for _, text, color in table.cells][:2] == [("585.0 s", "red"), ("56.3 s", "yellow")]
    failed = shown["Failed Quality Gates"].cells
    assert failed[:3] == [
        ("cleanup (nightly)", "6", "red"),
        ("version_bump (package_release)", "2", "yellow"),
        ("testing_validation (bug_fix)", "1", "yellow"),
    ]
    assert ("nightly", "0.0%", "red") in shown["Quality Gate Success Rate"].cells


def test_graphs_name_series_and_colour_results(library: Path, filled: Fetch, end: float) -> None:
    """Graphs name their series, and results have their colours."""
    shown, _ = show(library, View(end + 0.5, 21600, {"instance": ("failing",)}), filled)
    trends = {title: color for title, _, color in shown["Workflow Execution Trends"].cells}
    assert trends["package_release pass"] == "green"
    assert {color for title, color in trends.items() if title.endswith(" fail")} == {"red"}
    assert len(trends) == 6
    assert "none -> backend-engineer (package-release)" in [cell[0] for cell in shown["Persona Switch Rate"].cells]
    assert "bug_fix / testing_validation p95" in [cell[0] for cell in shown["Workflow Stage Duration"].cells]


def test_nothing_to_show_is_words_without_alarm(library: Path) -> None:
    """Where there is nothing, a single value says so in its own words, and in no colour of a threshold."""
    shown, _ = show(library, None, None)
    panels = {
        p["title"]: p for d in load_dashboards() for p in d["panels"] if p["type"] in ("stat", "gauge", "bargauge")
    }
    for title, panel in panels.items():
        [(_, text, color)] = shown[title].cells
        assert text == panel["fieldConfig"]["defaults"]["noValue"], title
        assert color not in ("green", "yellow", "red"), f"{title}: {text} is {color}"
