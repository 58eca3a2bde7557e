"""`hypertool report` and the overview page show what the dashboards show, from a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hypertool.errors import HypertoolError
from hypertool.report import report
from hypertool.report.fields import field_of
from hypertool.report.frames import series_of
from hypertool.report.panels import dashboard_html, drawn, panel_html, panel_svg
from hypertool.report.prometheus import Prometheus, PrometheusUnavailable
from hypertool.report.query import chosen_pattern, expression, requests_of, variables_of
from hypertool.report.timeseries import layers
from hypertool.report.units import formatted
from prometheus.generator.overview_page import drawing
from tests.dashboards.npm import installed
from tests.dashboards.panels import Fetch
from tests.dashboards.prometheus import binaries, free_port
from tests.dashboards.queries import Query, View, interpolate, panel_queries, step_seconds
from tests.support import service

HOUR, DAY = 3600, 86400
WEB = Path(__file__).resolve().parents[2] / "prometheus" / "web"


class Fetched(Prometheus):
    """The client of the report, on the connection of these tests."""

    def __init__(self, fetch: Fetch) -> None:
        super().__init__("http://127.0.0.1:1/")
        self.fetch = fetch

    def ask(self, requests: Any) -> list[object]:
        answers = [self.fetch(f"/api/v1/{one['path']}", dict(one["parameters"])) for one in requests]
        return [one["data"]["result"] if one["status"] == "success" else one["error"] for one in answers]


@pytest.fixture(scope="module")
def figures(filled: Fetch, end: float) -> report.Figures:
    return report.gather(Fetched(filled), report.chosen([]), end, DAY)


@pytest.mark.parametrize("seconds", [HOUR, 6 * HOUR, DAY, 14 * DAY])
def test_report_asks_what_grafana_asks(seconds: int) -> None:
    """Every query is interpolated as in Grafana, with the same columns."""
    for dashboard in report.dashboards():
        wanted = {(query.panel, query.ref): query for query in panel_queries(dashboard)}
        for panel in dashboard["panels"]:
            width = HOUR if panel.get("timeFrom") else seconds
            for target in panel["targets"]:
                query = wanted[panel["title"], target["refId"]]
                asked = expression(panel, target, seconds, variables_of(dashboard))
                assert asked == interpolate(query, View(0, width)), query.name


def test_chosen_values_are_quoted() -> None:
    """A value of a variable is a literal, whatever characters it has."""
    query = Query("u", "p", "A", "panel", 'x{a=~"$persona"}')
    for values in (("a.b",), ("a", "b|c"), ('q"x', "back\\slash")):
        view = View(0, HOUR, {"persona": values})
        assert f'x{{a=~"{chosen_pattern(list(values), ".*")}"}}' == interpolate(query, view)


def test_every_panel_is_drawn(figures: report.Figures) -> None:
    """With figures for all of them, no panel reports a problem, and the page stays below a megabyte."""
    page = report.page(figures)
    assert not re.findall(r'class="words problem">[^<]*', page)
    assert page.count('<section class="panel') == sum(len(one["panels"]) for one in figures.dashboards)
    assert len(page.encode()) < 1_000_000
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*', page), "the page loads or links something"


def test_values_are_those_of_prometheus(figures: report.Figures) -> None:
    """Each bar, gauge and number is written with the value that its query gave."""
    seen = 0
    for dashboard in figures.dashboards:
        for panel in dashboard["panels"]:
            answers = figures.answers[dashboard["uid"]][str(panel["id"])]
            if panel["type"] not in ("bargauge", "gauge", "stat"):
                continue
            what = drawn(panel, answers, figures.end, figures.range_seconds)
            texts = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", what.get("svg", ""))]
            for results in answers.values():
                for one in results:
                    value = float(one["value"][1])
                    unit = panel["fieldConfig"]["defaults"]["unit"]
                    decimals = panel["fieldConfig"]["defaults"].get("decimals")
                    text = {"none": "up" if value else "down"}.get(unit) or formatted(
                        value, unit, decimals, figures.end
                    )
                    assert text in texts, f"{panel['title']}: {text} is not among {texts}"
                    seen += 1
    assert seen > 30


def test_stacks_add_up(figures: report.Figures) -> None:
    """The top of a stacked column is the sum of all series at that time, also where some lack it."""
    dashboard = next(one for one in figures.dashboards if one["uid"] == "hypertool-persona-overview")
    panel = dashboard["panels"][0]
    answers = figures.answers[dashboard["uid"]][str(panel["id"])]
    sums: dict[float, float] = {}
    for one in answers["A"]:
        for moment, value in one["values"]:
            sums[moment] = sums.get(moment, 0.0) + float(value)
    tops: dict[float, float] = {}
    for layer in layers(series_of(panel, answers)):
        for moment, _, top in layer["spans"]:
            tops[moment] = max(tops.get(moment, 0.0), top)
    assert len({len(one["values"]) for one in answers["A"]}) > 1, "all series have the same columns: no proof"
    assert tops == pytest.approx(sums)


def test_columns_are_those_of_grafana(figures: report.Figures) -> None:
    for dashboard in figures.dashboards:
        wanted = {(query.panel, query.ref): query for query in panel_queries(dashboard)}
        titles = {panel["id"]: panel["title"] for panel in dashboard["panels"]}
        for one in requests_of(dashboard, DAY, figures.end, variables_of(dashboard)):
            if one["path"] == "query_range":
                query = wanted[titles[one["key"]["panel"]], one["key"]["ref"]]
                assert dict(one["parameters"])["step"] == str(step_seconds(query, View(figures.end, DAY)))


def test_empty_server_says_so(empty: Fetch, end: float) -> None:
    """Without any figures the page says what to do, and each panel its own words."""
    figures = report.gather(Fetched(empty), report.chosen([]), end, DAY)
    page = unescape(report.page(figures))
    assert report.NOTHING in page
    assert "No tokens used in the last hour" in page
    assert "<svg" not in page


def test_browser_draws_the_same(figures: report.Figures) -> None:
    """The overview page's script, translated from the report's modules, makes the same page byte for byte."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed; install nodejs to compare what the overview page draws")
    program = drawing() + (
        'const input = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        "const made = input.dashboards.map((one) =>"
        " [dashboard_html(one, input.answers[one.uid], input.end, input.range),"
        " requests_of(one, input.range, input.end, variables_of(one))]);"
        "process.stdout.write(JSON.stringify(made));"
    )
    given = {
        "dashboards": figures.dashboards,
        "answers": figures.answers,
        "end": figures.end,
        "range": figures.range_seconds,
    }
    node = ["node", "-e", program]
    done = subprocess.run(node, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for dashboard, (html, requests) in zip(figures.dashboards, json.loads(done.stdout), strict=True):
        assert html == dashboard_html(dashboard, figures.answers[dashboard["uid"]], figures.end, figures.range_seconds)
        assert requests == requests_of(dashboard, DAY, figures.end, variables_of(dashboard))


def panel(kind: str, **more: Any) -> dict[str, Any]:
    target = {"refId": "A", "legendFormat": "{{name}}", "expr": "up", "instant": True}
    grid = {"x": 0, "y": 0, "w": 12, "h": 8}
    return {"id": 1, "type": kind, "title": "T", "gridPos": grid, "targets": [target], "fieldConfig": {}, **more}


def sample(name: str, value: str) -> dict[str, Any]:
    return {"metric": {"name": name}, "value": [1000, value]}


def test_unknown_panel_is_named() -> None:
    what = drawn(panel("geomap"), {"A": [sample("x", "1")]}, 1000, HOUR)
    assert '"geomap"' in what["words"]


def test_failed_query_is_shown() -> None:
    what = drawn(panel("stat"), {"A": "query timed out"}, 1000, HOUR)
    assert "query timed out" in what["words"]


@pytest.mark.parametrize("kind", ["stat", "bargauge", "gauge", "timeseries", "table"])
def test_hostile_names_stay_text(kind: str) -> None:
    """A label cannot become markup, whatever draws it."""
    name = "</title></svg><script>alert('1')</script>\" onload=\"x"
    made = dashboard_html({"panels": [panel(kind)]}, {"1": {"A": [sample(name, "3")]}}, 1000, HOUR)
    assert "<script" not in made
    assert 'onload="' not in made


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_no_number_is_no_data(value: str) -> None:
    """What is no number is drawn as nothing, and never breaks the page."""
    for kind in ("stat", "bargauge", "gauge", "timeseries", "heatmap"):
        assert drawn(panel(kind), {"A": [sample("x", value)]}, 1000, HOUR)["words"] == "No data"
    assert dashboard_html({"panels": [panel("table")]}, {"1": {"A": [sample("x", value)]}}, 1000, HOUR)


def test_a_table_is_cut() -> None:
    """Of a hundred thousand rows the first in the table's order are shown, and soon."""
    rows = [sample(f"n{number}", str(number % 90_000)) for number in range(100_000)]
    ordered = panel("table", options={"sortBy": [{"displayName": "Value", "desc": True}]})
    shown = drawn(ordered, {"A": rows}, 1000, HOUR)
    assert len(shown["table"]["rows"]) == 500
    assert "89,999" in str(shown["table"]["rows"][0]) or "89999" in str(shown["table"]["rows"][0])
    assert "The first 500 of 100000 rows" in panel_html(ordered, shown)


def test_series_left_out_are_named() -> None:
    """A panel draws a hundred series, and says how many there are."""
    answers = {"A": [sample(f"n{number}", "1") for number in range(101)]}
    assert "The first 100 of 101 series" in panel_html(panel("bargauge"), drawn(panel("bargauge"), answers, 1000, HOUR))


@pytest.mark.parametrize("kind", ["table", "stat", "bargauge", "gauge", "timeseries"])
def test_any_label_is_printable(kind: str) -> None:
    """Characters that XML forbids, or that turn the text around them, do not reach a page or a picture."""
    answers = {"A": [sample("a\0b\x1b[2J\u202ec\ud800", "1")]}
    what = drawn(panel(kind), answers, 1000, HOUR)
    for made in (panel_html(panel(kind), what), panel_svg(panel(kind), what)):
        assert not re.search("[\0-\x08\x1b\u202e\ud800]", made)
    ElementTree.fromstring(panel_svg(panel(kind), what))


@pytest.mark.parametrize("kind", ["table", "stat", "bargauge", "gauge", "timeseries"])
@pytest.mark.parametrize("value", ["1e308", "-1e308", "5e-324"])
def test_any_number_is_drawn(kind: str, value: str) -> None:
    """The largest and smallest floats break no page."""
    made = dashboard_html({"panels": [panel(kind)]}, {"1": {"A": [sample("x", value)]}}, 1000, HOUR)
    assert not re.search(r'="(?:nan|-?inf)', made)


def test_override_beats_default() -> None:
    config = {
        "defaults": {"unit": "none"},
        "overrides": [
            {"matcher": {"id": "byRegexp", "options": "/ fail$/"}, "properties": [{"id": "unit", "value": "s"}]}
        ],
    }
    assert field_of(panel("stat", fieldConfig=config), "a fail", 0)["unit"] == "s"
    assert field_of(panel("stat", fieldConfig=config), "a pass", 0)["unit"] == "none"


def test_login_is_never_shown() -> None:
    """The login of an address is used for the request and appears in no message and no page."""
    prometheus = Prometheus(f"http://me:geheim@127.0.0.1:{free_port()}/")
    assert "geheim" not in prometheus.url
    with pytest.raises(PrometheusUnavailable) as failed:
        prometheus.ask([{"path": "query", "parameters": [["query", "up"]]}])
    assert "geheim" not in str(failed.value)
    with pytest.raises(HypertoolError, match="not an address"):
        Prometheus("file:///etc/passwd")


#: Names the graphs whose right end, or whose title, is out of sight.
OUT_OF_SIGHT = """<script>
const hidden = [...document.querySelectorAll(".time")].filter((panel) => {
  const inside = panel.getBoundingClientRect();
  const drawing = panel.querySelector(".drawing")?.getBoundingClientRect();
  const title = panel.querySelector("h3").getBoundingClientRect();
  return (drawing && drawing.right > inside.right) || title.left < inside.left || inside.right > innerWidth;
});
document.title = `hidden: ${hidden.map((panel) => panel.querySelector("h3").textContent)} of ${innerWidth}`;
</script></body>"""


def test_a_phone_shows_the_newest(figures: report.Figures, tmp_path: Path) -> None:
    """Graphs that do not fit begin at their end: what has just happened is in sight without a touch."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed; apt-get install chromium to look at the report")
    page = tmp_path / "report.html"
    page.write_text(report.page(figures).replace("</body>", OUT_OF_SIGHT), encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = ["chromium", *flags, "--window-size=500,900", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert re.search(r"<title>hidden:  of (\d{3})</title>", dom), re.findall("<title>.*</title>", dom)


@pytest.fixture(params=["bookworm", "trixie", "forky"])
def overview(request: pytest.FixtureRequest, blocks: Path, tmp_path: Path) -> Iterator[str]:
    """The overview page with axe-core beside it, served by the Prometheus of one release."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed; apt-get install chromium to look at the overview page")
    axe = installed("axe") / "node_modules" / "axe-core" / "axe.min.js"
    shutil.copytree(blocks, tmp_path / "data")
    web = tmp_path / "web"
    shutil.copytree(WEB, web)
    shutil.copy(axe, web / "axe.js")
    (web / "examine.js").write_text(EXAMINE, encoding="utf-8")
    page = (web / "overview.html").read_text(encoding="utf-8")
    scripts = '<script src="axe.js"></script><script src="examine.js"></script></body>'
    (web / "overview.html").write_text(page.replace("</body>", scripts), encoding="utf-8")
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    url = f"http://127.0.0.1:{free_port()}"
    flags = [f"--web.user-assets={web}", "--storage.tsdb.retention.time=10y"]
    with service.prometheus(binaries(request.param), config, tmp_path / "data", url, tmp_path / "log", *flags):
        yield url


EXAMINE = """
new MutationObserver(async (_, observer) => {
  if (!document.querySelector("#panels section")) return;
  observer.disconnect();
  const { violations } = await axe.run();
  const bad = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const found = document.createElement("pre");
  found.id = "axe";
  found.textContent = JSON.stringify(bad.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))]));
  document.body.append(found);
}).observe(document.getElementById("panels"), { childList: true });
"""


def test_overview_page_in_a_browser(overview: str, tmp_path: Path) -> None:
    """Chromium draws every dashboard from each release's API, and axe-core finds nothing serious in light or dark.

    The address may contain a login.
    """
    for number, dashboard in enumerate(report.dashboards()):
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        scheme = f"--blink-settings=preferredColorScheme={number % 2}"
        address = overview.replace("://", "://ann:secret@") if number % 2 else overview
        page = f"{address}/user/overview.html?range=24h&dashboard={dashboard['uid']}"
        command = ["chromium", *flags, scheme, "--virtual-time-budget=60000", "--dump-dom", page]
        dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        assert dom.count('<section class="panel') == len(dashboard["panels"]), dom[-2000:]
        assert 'class="words problem"' not in dom
        assert re.search(r'<pre id="axe">(.*?)</pre>', dom, re.DOTALL)[1] == "[]", unescape(dom[-3000:])  # type: ignore[index]
