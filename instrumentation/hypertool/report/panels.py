"""A panel: which drawing its type has, what it says when it is empty, and how it stands in a page or a picture."""

from __future__ import annotations

from .cells import bars_height, draw_bars, draw_gauges, draw_stat
from .environment import floor
from .frames import series_of, table_of
from .heatmap import draw_heatmap, empty_heatmap
from .model import Json
from .query import panel_range, step_seconds
from .tables import table_cells, table_html, table_svg
from .texts import coordinate, escaped, label, shortened
from .timeseries import draw_series, legend_of

#: A column of Grafana's grid and a unit of its height, in pixels.
COLUMN = 56
ROW = 33
_PADDING = 24
_TITLE = 42
_LEGEND_SHARE = 0.72
#: Series that one panel draws; a server that has more of them is not one of ours.
_MOST = 100


def view_of(panel: Json, end: float, range_seconds: int) -> Json:
    """The time that the panel shows, in seconds, and the width of its columns."""
    step = step_seconds(panel, range_seconds)
    width = panel_range(panel, range_seconds)
    last = floor(end / step) * step if panel["type"] in ["timeseries", "heatmap"] else end
    return {"start": last - width, "end": last, "step": step}


def drawn(panel: Json, answers: Json, end: float, range_seconds: int) -> Json:
    """What the panel shows: `svg` with its width and height, `table`, or `words` where there is nothing to draw.

    `cut` names the rows or series that are left out, if there are many;
    `answers` has the result of each query by its letter, or its error as a text.
    """
    width = panel["gridPos"]["w"] * COLUMN - _PADDING
    height = panel["gridPos"]["h"] * ROW - _TITLE
    for ref, answer in answers.items():
        if isinstance(answer, str):
            return {"words": f"Query {ref} failed: {answer}", "problem": True}
    kind = panel["type"]
    if kind == "text":
        return {"words": (panel.get("options") or {}).get("content") or ""}
    if kind == "table":
        found = table_of(panel, answers)
        table = table_cells(panel, found, end)
        if len(table["rows"]) == 0:
            return {"words": empty_words(panel)}
        return {"table": table, "cut": _cut(len(table["rows"]), found["found"], "rows")}
    series = [one for one in series_of(panel, answers) if len(one["points"]) > 0]
    what = _picture(panel, kind, series[:_MOST], view_of(panel, end, range_seconds), width, height)
    what["cut"] = _cut(min(_MOST, len(series)), len(series), "series")
    return what


def _cut(shown: int, found: int, what: str) -> str:
    """What to say about rows or series that are left out; empty if none are."""
    return "" if shown == found else f"The first {shown} of {found} {what}; Grafana shows all."


def _picture(panel: Json, kind: str, series: list[Json], view: Json, width: float, height: float) -> Json:
    if kind not in ["stat", "gauge", "bargauge", "heatmap", "timeseries"]:
        return {"words": f'The panel type "{kind}" is not drawn here; Grafana shows it.', "problem": True}
    if len(series) == 0 or (kind == "heatmap" and empty_heatmap(series)):
        return {"words": empty_words(panel)}
    if kind == "stat":
        return {"svg": draw_stat(panel, series, view, width, height), "width": width, "height": height}
    if kind == "bargauge":
        height = bars_height(series)
        return {"svg": draw_bars(panel, series, view, width, height), "width": width, "height": height}
    if kind == "gauge":
        return {"svg": draw_gauges(panel, series, view, width, height), "width": width, "height": height}
    if kind == "heatmap":
        return {"svg": draw_heatmap(panel, series, view, width, height), "width": width, "height": height}
    height = floor(height * _LEGEND_SHARE)
    svg = draw_series(panel, series, view, width, height)
    return {"svg": svg, "width": width, "height": height, "table": legend_of(panel, series, view["end"])}


def empty_words(panel: Json) -> str:
    """What the panel says when there is nothing to show."""
    defaults = (panel.get("fieldConfig") or {}).get("defaults") or {}
    return str(defaults.get("noValue") or "No data")


def ordered(dashboard: Json) -> list[Json]:
    """The panels as they are read: from the top, and from the left."""
    return sorted(dashboard["panels"], key=lambda panel: panel["gridPos"]["y"] * 100 + panel["gridPos"]["x"])


def panel_html(panel: Json, what: Json) -> str:
    """The panel as a part of a page."""
    wide = panel["gridPos"]["w"]
    title = escaped(panel["title"])
    kinds = "panel time" if panel["type"] in ["timeseries", "heatmap"] else "panel"
    made = [f'<section class="{kinds} w{wide}"><div>']
    if panel.get("description"):
        made.append(f'<details class="about"><summary aria-label="About {title}"><span>?</span></summary>')
        made.append(f"<p>{escaped(panel['description'])}</p></details>")
    made.append(f"<h3>{title}</h3></div>")
    if what.get("words") is not None:
        kind = "words problem" if what.get("problem") else "words"
        made.append(f'<p class="{kind}">{escaped(what["words"])}</p>')
    if what.get("svg") is not None:
        made.append(svg_html(panel["title"], what))
    if what.get("table") is not None:
        made.append(f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(panel["title"])}: table">')
        made.append(table_html(panel["title"], what["table"]) + "</div>")
    if what.get("cut"):
        made.append(f'<p class="cut">{what["cut"]}</p>')
    return "".join(made) + "</section>"


def svg_html(title: str, what: Json) -> str:
    """The drawing inside a page; screen readers hear its title and the values in it."""
    size = f"{coordinate(what['width'])} {coordinate(what['height'])}"
    return f'<svg class="drawing" viewBox="0 0 {size}" role="img" aria-label="{escaped(title)}">{what["svg"]}</svg>'


def dashboard_html(dashboard: Json, answers: Json, end: float, range_seconds: int) -> str:
    """All panels of a dashboard; `answers` by panel id, then by the letter of the query."""
    made = []
    for panel in ordered(dashboard):
        found = answers.get(f"{panel['id']}") or {}
        made.append(panel_html(panel, drawn(panel, found, end, range_seconds)))
    return "".join(made)


def panel_svg(panel: Json, what: Json) -> str:
    """The panel as a part of a picture, with its frame and title, at its place in the grid."""
    grid = panel["gridPos"]
    x, y = grid["x"] * COLUMN, grid["y"] * ROW
    width, height = grid["w"] * COLUMN - 8, grid["h"] * ROW - 8
    made = [f'<svg x="{x}" y="{y}" width="{width}" height="{height}">']
    made.append(f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="3" class="frame"/>')
    made.append(label(8, 18, shortened(panel["title"], width - 16), "h", "start"))
    made.append('<g transform="translate(8 26)">')
    below = 0.0
    if what.get("words") is not None:
        made.append(label(width / 2 - 8, height / 2 - 20, shortened(what["words"], width - 16), "t", "middle"))
    if what.get("svg") is not None:
        made.append(what["svg"])
        below = what["height"]
    if what.get("table") is not None:
        made.append(table_svg(what["table"], width - 16, below))
    return "".join(made) + "</g></svg>"
