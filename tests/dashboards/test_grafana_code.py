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
    return installed(f"grafana-data-{version}", f"@grafana/data@{version}", "react@18", "react-dom@18")


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
        one["panel"]["title"]: Shown(got["rows"], [(c["title"], c["text"], c["color"]) for c in got["cells"]])
        for one, got in zip(panels, output["panels"], strict=True)
    }
    return shown, set(output["units"])


def test_grafana_knows_every_unit(library: Path) -> None:
    _, units = show(library, None, None)
    used = {p["fieldConfig"]["defaults"]["unit"] for d in load_dashboards() for p in d["panels"]}
    used |= {"s"}  # of the heatmap's axis and of the p95 column
    assert used <= units


def test_a_baseline_reads_as_it_should(library: Path, filled: Fetch, end: float) -> None:
    shown, _ = show(library, View(end + 0.5, 900, {"instance": ("new-15s",)}), filled)
    assert sorted(shown["Token Usage by Persona"].cells) == [
        ("backend-engineer", "850", "green"),
        ("devops-engineer", "550", "green"),
        ("testing-specialist", "650", "green"),
    ]
    assert ("testing-specialist", "850", "green") in shown["Token Budget Remaining"].cells
    assert shown["Quality Gate Success Rate"].cells == [
        ("All workflows", "100.0%", "green"),
        ("package_release", "100.0%", "green"),
    ]
    assert {cell[1:] for cell in shown["Failed Quality Gates"].cells} == {("0", "green")}
    transitions = shown["Top Persona Transitions"].rows
    assert [list(row) for row in transitions] == [["From Persona", "To Persona", "Chatmode", "Switches"]] * 3
    assert {(row["From Persona"], row["Switches"]) for row in transitions} == {
        ("none", 1),
        ("backend-engineer", 1),
        ("testing-specialist", 1),
    }


def test_the_slowest_stages_are_ten_rows_at_most_the_slowest_first(library: Path, filled: Fetch, end: float) -> None:
    shown, _ = show(library, View(end + 0.5, 21600, {"instance": ("failing",)}), filled)
    table = shown["Slowest Workflow Stages"]
    assert [list(row) for row in table.rows] == [["Workflow", "Stage", "Persona", "p95", "Runs"]] * 6
    assert [row["Runs"] for row in table.rows[:2]] == [2, 5]
    assert [row["p95"] for row in table.rows] == sorted((row["p95"] for row in table.rows), reverse=True)
    # Grafana 13 says "min" where the older ones say "mins".
    cells = [(text.replace("mins", "min"), color) for _, text, color in table.cells]
    assert cells[:2] == [("9.75 min", "red"), ("56.3 s", "yellow")]
    failed = shown["Failed Quality Gates"].cells
    assert failed[:3] == [
        ("nightly / cleanup", "6", "red"),
        ("package_release / version_bump", "2", "yellow"),
        ("bug_fix / testing_validation", "1", "yellow"),
    ]
    assert ("nightly", "0.0%", "red") in shown["Quality Gate Success Rate"].cells


def test_graphs_name_their_series_and_colour_the_results(library: Path, filled: Fetch, end: float) -> None:
    shown, _ = show(library, View(end + 0.5, 21600, {"instance": ("failing",)}), filled)
    trends = {title: color for title, _, color in shown["Workflow Execution Trends"].cells}
    assert trends["package_release pass"] == "green"
    assert {color for title, color in trends.items() if title.endswith(" fail")} == {"red"}
    assert len(trends) == 6
    assert "none -> backend-engineer (package-release)" in [cell[0] for cell in shown["Persona Switch Rate"].cells]
    assert "p95 bug_fix / testing_validation" in [cell[0] for cell in shown["Workflow Stage Duration"].cells]


def test_nothing_to_show_is_said_in_words(library: Path) -> None:
    shown, _ = show(library, None, None)
    said = {title: cells.cells[0][1] for title, cells in shown.items() if cells.cells}
    assert said == {
        "Token Usage by Persona": "No tokens used in the last hour",
        "Token Budget Remaining": "No host reports its budgets",
        "Quality Gate Success Rate": "No quality gate closed in this time range",
        "Failed Quality Gates": "No quality gate closed in the last hour",
    }
