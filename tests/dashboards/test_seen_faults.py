"""What only eyes see in a real Grafana, each kind as a rule, so that it cannot come back in any panel."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.dashboards.queries import load_dashboards

LOADED = load_dashboards()
PANELS = [(dashboard, panel) for dashboard in LOADED for panel in dashboard["panels"]]
ALARMS = {"red", "yellow", "orange", "green"}
SINGLE = ("stat", "gauge", "bargauge")
each_dashboard = pytest.mark.parametrize("dashboard", LOADED, ids=lambda dashboard: dashboard["uid"])


def panels(*kinds: str) -> pytest.MarkDecorator:
    chosen = [panel for _, panel in PANELS if panel["type"] in kinds]
    return pytest.mark.parametrize("panel", chosen, ids=lambda panel: panel["title"])


def defaults(panel: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = panel["fieldConfig"]["defaults"]
    return found


def all_units(panel: dict[str, Any]) -> list[str]:
    overridden = [
        one["value"] for o in panel["fieldConfig"]["overrides"] for one in o["properties"] if one["id"] == "unit"
    ]
    return [defaults(panel)["unit"], *overridden]


@panels("stat", "gauge", "bargauge", "timeseries", "heatmap", "table")
def test_no_unit_shortens_a_figure(panel: dict[str, Any]) -> None:
    """`short` shows 1,150 tokens as "1 K"; `s` shows 28 mins in one row and 27.0 mins in the next."""
    assert not {"short", "s", "ms", "cpm", "opm"} & set(all_units(panel))


@panels(*SINGLE)
def test_nothing_has_no_alarm_colour(panel: dict[str, Any]) -> None:
    """Without a mapping, the words for "nothing" have the colour of the lowest threshold, which is often red."""
    results = [m["options"]["result"] for m in defaults(panel)["mappings"] if m["type"] == "special"]
    assert [one["text"] for one in results] == [defaults(panel)["noValue"]]
    assert not ALARMS & {one["color"] for one in results}
    if panel["type"] == "stat" and panel["options"]["colorMode"] == "background":
        assert results[0]["color"] == "transparent", "a filled grey panel"


@panels("gauge")
def test_an_empty_gauge_has_no_red_ring(panel: dict[str, Any]) -> None:
    """Grafana 9 draws the ring of thresholds around a gauge without a value."""
    assert panel["options"]["showThresholdMarkers"] is False


@panels("bargauge")
def test_names_of_two_parts_have_room(panel: dict[str, Any]) -> None:
    """Beside bars Grafana gives names 40 % of the panel: an agent and a persona need more than of a third of the page,
    and beside small bars in a window with the menu open of more than half of it."""
    if " as ${" in defaults(panel)["displayName"]:
        assert panel["gridPos"]["w"] >= (24 if panel["options"]["namePlacement"] == "left" else 12)


@panels("bargauge", "gauge")
def test_a_single_bar_keeps_its_name(panel: dict[str, Any]) -> None:
    """Grafana drops the legend of the only series; a display name made of labels stays."""
    assert "${__field.labels." in defaults(panel)["displayName"]
    if panel["type"] == "bargauge":
        assert panel["options"]["showUnfilled"] is False, "a grey slab where there is nothing"


@panels("bargauge", "gauge")
def test_names_and_figures_have_a_size_and_room(panel: dict[str, Any]) -> None:
    """Left alone, Grafana enlarges a name until it is cut, and lays the bars of many rows on each other's names."""
    options = panel["options"]
    if panel["type"] == "gauge":
        assert options["text"]["titleSize"] == 11
        assert panel["gridPos"]["w"] == 24, "six names with their limits"
        return
    assert options["sizing"] == "manual", "the only way in which Grafana obeys the heights"
    assert options["valueMode"] == "text", "a yellow figure on white"
    assert len(defaults(panel)["noValue"]) <= 4.4 * panel["gridPos"]["w"], "words stand in one line"
    if options["namePlacement"] == "left":
        assert panel["gridPos"]["w"] >= 9, "a name beside a bar is cut at 40 %"
        assert "titleSize" not in options["text"], "its room is measured at another size"
        assert defaults(panel)["displayName"].endswith(" " * 6), "the widest name may have fewer letters than another"
        assert (options["minVizHeight"], options["maxVizHeight"]) == (18, 30), "12 pixels at most for the name"
    else:
        # A title above its bar has one and a half lines.
        assert options["minVizHeight"] >= options["text"]["titleSize"] * 1.5 + options["text"]["valueSize"]
        assert options["maxVizHeight"] <= 60, "one event would fill the panel"


@panels("gauge")
def test_a_gauge_without_a_value_has_no_arc(panel: dict[str, Any]) -> None:
    """No value is drawn as 0: with the arc from the minimum, an empty panel was yellow, and a larger debt shorter."""
    assert defaults(panel)["custom"]["neutral"] == 0
    assert panel["options"]["neutral"] == 0, "the gauge of Grafana 13 reads it here"
    assert defaults(panel)["min"] < 0


@panels("stat", "gauge", "bargauge", "timeseries", "heatmap", "table")
def test_a_title_fits_its_panel(panel: dict[str, Any]) -> None:
    """At 1366 pixels with the menu beside, a column of the grid has room for 3.65 letters of a title."""
    assert len(panel["title"]) <= 3.65 * panel["gridPos"]["w"]


@panels("bargauge")
def test_no_alarm_colour_for_what_is_no_fault(panel: dict[str, Any]) -> None:
    if panel["title"] == "Cache Hit Ratio":
        assert not {"red", "yellow"} & {step["color"] for step in defaults(panel)["thresholds"]["steps"]}


@panels("heatmap")
def test_heatmap_has_a_second_column(panel: dict[str, Any]) -> None:
    """A heatmap has a second column and readable cells.

    A colour scheme is turned round in the light theme: one event was red there, and cream or brown in others.
    """
    [target] = panel["targets"]
    assert "0 * last_over_time(" in target["expr"]
    assert "[$__range] @ end())" in target["expr"]
    color = panel["options"]["color"]
    assert (color["mode"], color["min"]) == ("opacity", 0)
    assert color["exponent"] <= 0.3, "a single event among many would be hardly visible"
    assert not ALARMS & set(color["fill"].split("-"))


@panels("timeseries")
def test_one_event_in_a_graph_is_visible(panel: dict[str, Any]) -> None:
    """A line through one point is nothing, one across hours without events is a lie, an area of red is an alarm."""
    custom = defaults(panel)["custom"]
    if "count_over_time" in panel["targets"][0]["expr"]:
        assert custom["drawStyle"] in ("bars", "points")
    assert custom["spanNulls"] is False
    assert custom["thresholdsStyle"]["mode"] in ("off", "dashed")
    assert custom["lineWidth"] > 0
    legend = panel["options"]["legend"]
    assert len(legend["calcs"]) <= 3
    assert (legend["sortBy"], legend["sortDesc"]) == (
        {"mean": "Mean", "max": "Max", "sum": "Total"}[legend["calcs"][0]], True,
    ), "about three rows are visible"  # fmt: skip
    assert panel["gridPos"]["h"] >= 9, "the third row would be cut"
    if custom["drawStyle"] == "bars":
        assert (custom["barAlignment"], custom["stacking"]["mode"]) == (-1, "normal")


@panels("table")
def test_a_table_has_one_query_a_stable_order_and_room(panel: dict[str, Any]) -> None:
    """Two queries leave bare headers where there is nothing; ties without a second column change places."""
    assert len(panel["targets"]) == 1
    assert len(panel["options"]["sortBy"]) >= 2
    assert defaults(panel)["custom"]["minWidth"] <= 60, "at 150 each, the last columns are out of sight"
    overrides = panel["fieldConfig"]["overrides"]
    assert any(one["id"] == "custom.width" for o in overrides for one in o["properties"])
    colours = [one["value"] for o in overrides for one in o["properties"] if one["id"] == "color"]
    assert all(colour["mode"] in ("thresholds", "continuous-blues") for colour in colours)
    continuous = [o for o in overrides if any(one["value"] == {"mode": "continuous-blues"} for one in o["properties"])]
    assert all("max" in {one["id"] for one in o["properties"]} for o in continuous), "one event would be full colour"


@panels("stat", "gauge", "bargauge", "timeseries", "heatmap", "table")
def test_a_single_event_is_a_short_bar(panel: dict[str, Any]) -> None:
    """Where the first one is a warning, it fills a sixth: Grafana 9 draws the only bar as high as its panel."""
    if panel["type"] == "bargauge" and [step["value"] for step in defaults(panel)["thresholds"]["steps"]][1:2] == [1]:
        assert defaults(panel).get("max", 0) >= 6


def test_failed_gates_are_full_where_they_turn_red() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "Failed Quality Gates"]
    red = [step["value"] for step in defaults(panel)["thresholds"]["steps"] if step["color"] == "red"]
    assert defaults(panel)["max"] == red[0]
    assert panel["targets"][0]["legendFormat"].startswith("{{stage}}"), "the important part must not be cut"


def test_a_gauge_shows_the_limit_beside_what_remains() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "Token Budget Remaining"]
    assert "${__field.labels.limit}" in defaults(panel)["displayName"]
    assert panel["gridPos"]["h"] <= 8


@each_dashboard
def test_marks_of_alerts_name_no_missing_label(dashboard: dict[str, Any]) -> None:
    """A label that an alert lacks is written as its own name in a text, and left out as a tag."""
    [marks] = [one for one in dashboard["annotations"]["list"] if one["name"] == "Hypertool alerts"]
    assert marks["textFormat"] == "{{instance}}"
    assert set(marks["tagKeys"].split(",")) == {"severity", "persona", "workflow", "stage"}
    filtered = {v["name"] for v in dashboard["templating"]["list"]} & {"instance", "workflow", "persona", "agent"}
    for name in filtered:
        assert f'{name}=~"${name}|"' in marks["expr"], f"marks ignore ${name}"


@each_dashboard
def test_a_dashboard_fits_a_laptop(dashboard: dict[str, Any]) -> None:
    """At 1366 x 768 a column of the grid is about 50 pixels wide: what has a legend or columns needs eight."""
    for panel in dashboard["panels"]:
        wide = panel["type"] in ("timeseries", "table", "heatmap")
        assert panel["gridPos"]["w"] >= (8 if wide else 5), panel["title"]
        assert panel["gridPos"]["h"] <= 9, panel["title"]


@each_dashboard
def test_links_lead_to_existing_dashboards(dashboard: dict[str, Any]) -> None:
    """Links lead to dashboards and variables that exist."""
    known = {one["uid"]: {v["name"] for v in one["templating"]["list"]} for one in LOADED}
    for panel in dashboard["panels"]:
        links = list(defaults(panel).get("links", []))
        for override in panel["fieldConfig"]["overrides"]:
            links += [link for one in override["properties"] if one["id"] == "links" for link in one["value"]]
        for link in links:
            assert link["title"]
            assert set(re.findall(r"\$\{[\w.]+:(\w+)\}", link["url"])) <= {"queryparam"}, "Grafana knows no such format"
            used = set(re.findall(r"\$\{(\w+)", link["url"]))
            assert {name for name in used if not name.startswith("__")} <= known[dashboard["uid"]], link
            if match := re.match(r"/d/([\w-]+)\?", link["url"]):
                assert match[1] in known, link
                assert set(re.findall(r"&var-(\w+)=", link["url"])) <= known[match[1]], link
            else:
                assert link["url"].startswith(("/explore?left=", "${langfuse_url}", "http://localhost:9090/user/"))


def test_all_dashboards_are_linked_with_each_other() -> None:
    for dashboard in LOADED:
        assert "hypertool" in dashboard["tags"]
        assert [one["tags"] for one in dashboard["links"] if one["type"] == "dashboards"] == [["hypertool"]]
