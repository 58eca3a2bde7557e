"""Builds the report: asks for every figure of the dashboards, and draws them into a page or pictures."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import NamedTuple

from ..errors import HypertoolError
from ..runtime.shipped_files import shipped
from ..runtime.version import __version__
from . import shortcuts
from .axes import time_text
from .model import Json
from .panels import COLUMN, ROW, dashboard_html, drawn, panel_svg
from .prometheus import Prometheus
from .query import requests_of, variables_of
from .style import picture_sheet, sheet
from .texts import escaped, label

#: What a page may load: nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
#: At the top of a page if Prometheus has no metrics of hypertool.
NOTHING = (
    "This Prometheus has no figures of hypertool in this time range. Run `hypertool baseline`, wait for the next "
    "scrape (a minute at most), and look again; `hypertool report --prometheus URL` asks another Prometheus."
)


class Figures(NamedTuple):
    """The dashboards with the answers to their queries: by dashboard, panel id and letter of the query."""

    dashboards: list[Json]
    answers: dict[str, Json]
    end: float
    range_seconds: int
    source: str
    empty: bool


def dashboards() -> list[Json]:
    """The dashboards of this package, in the order of their titles."""
    found = [json.loads(file.read_text("utf-8")) for file in shipped("dashboards").glob("*.json")]
    return sorted(found, key=lambda dashboard: str(dashboard["title"]))


def short_name(dashboard: Json) -> str:
    """The part of the uid that is not the same everywhere: persona-overview."""
    return str(dashboard["uid"]).removeprefix("hypertool-")


def chosen(names: list[str]) -> list[Json]:
    """The dashboards with these names (uid, with or without `hypertool-`), or all. Raises HypertoolError."""
    known = {short_name(dashboard): dashboard for dashboard in dashboards()}
    for name in names:
        if name.removeprefix("hypertool-") not in known:
            raise HypertoolError(f"no dashboard {name!r:.60}; expected one of {', '.join(known)}")
    wanted = {name.removeprefix("hypertool-") for name in names}
    return [dashboard for name, dashboard in known.items() if not wanted or name in wanted]


def gather(prometheus: Prometheus, wanted: list[Json], end: float, range_seconds: int) -> Figures:
    """Ask for everything that these dashboards show in the range before `end` (both in seconds)."""
    probe = f"count(last_over_time(hypertool_build_info[{range_seconds}s]))"
    requests: list[Json] = [{"path": "query", "parameters": [["query", probe], ["time", f"{int(end)}"]]}]
    keys: list[tuple[str, Json]] = []
    for dashboard in wanted:
        for request in requests_of(dashboard, range_seconds, end, variables_of(dashboard)):
            requests.append(request)
            keys.append((dashboard["uid"], request["key"]))
    present, *results = shortcuts.ask(prometheus, requests, end, range_seconds)
    answers: dict[str, Json] = {dashboard["uid"]: {} for dashboard in wanted}
    for (uid, key), result in zip(keys, results, strict=True):
        answers[uid].setdefault(str(key["panel"]), {})[key["ref"]] = result
    return Figures(wanted, answers, end, range_seconds, prometheus.url, empty=not present)


def page(figures: Figures, reload_seconds: int = 0) -> str:
    """One HTML page that needs nothing else; with `reload_seconds` it reads itself again that often."""
    again = f'<meta http-equiv="refresh" content="{reload_seconds}">' if reload_seconds else ""
    since, until = time_text(figures.end - figures.range_seconds), time_text(figures.end)
    links = "".join(f'<li><a href="#{one["uid"]}">{escaped(one["title"])}</a></li>' for one in figures.dashboards)
    body = "".join(_section(figures, dashboard) for dashboard in figures.dashboards)
    warning = f'<p class="notice" role="status">{escaped(NOTHING)}</p>' if figures.empty else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'{again}<link rel="icon" href="data:,">\n'
        f"<title>Hypertool report, {until}</title>\n<style>\n{sheet()}</style>\n</head>\n<body>\n"
        f"<header><h1>Hypertool report</h1><p>{since} to {until} (local time), from {escaped(figures.source)}</p>"
        f'<nav aria-label="Dashboards"><ul>{links}</ul></nav>{warning}</header>\n<main>\n{body}</main>\n'
        f"<footer><p>hypertool {__version__}. Times end a column; a column without events is left out.</p></footer>\n"
        f"<script>\n{script('sorting.js')}</script>\n</body>\n</html>\n"
    )


def _section(figures: Figures, dashboard: Json) -> str:
    drawn_panels = dashboard_html(dashboard, figures.answers[dashboard["uid"]], figures.end, figures.range_seconds)
    return (
        f'<section aria-labelledby="{dashboard["uid"]}"><h2 id="{dashboard["uid"]}">{escaped(dashboard["title"])}</h2>'
        f"<p>{escaped(dashboard['description'])}</p>"
        f'<div class="panels">{drawn_panels}</div></section>\n'
    )


def script(name: str) -> str:
    """A script of this package."""
    return (files(__package__) / name).read_text("utf-8")


def picture(figures: Figures, dashboard: Json, dark: bool = False) -> str:
    """One dashboard as an SVG that stands alone."""
    answers = figures.answers[dashboard["uid"]]
    panels = dashboard["panels"]
    height = 40 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW
    width = 24 * COLUMN
    parts = []
    for panel in panels:
        what = drawn(panel, answers.get(str(panel["id"]), {}), figures.end, figures.range_seconds)
        parts.append(panel_svg(panel, what))
    since, until = time_text(figures.end - figures.range_seconds), time_text(figures.end)
    title = label(4, 20, f"{dashboard['title']}, {since} to {until}", "h", "start")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<style>{picture_sheet(dark)}</style><rect width="{width}" height="{height}" class="page"/>{title}'
        f'<g transform="translate(4 32)">{"".join(parts)}</g></svg>'
    )


def png(svg: str) -> bytes:
    """The picture as PNG. Raises HypertoolError where the package that draws it is absent."""
    try:
        import resvg_py
    except ImportError:
        raise HypertoolError(
            "--png needs the package resvg-py; install it with `pip install 'hypertool-observability[report]'`"
        ) from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg))
