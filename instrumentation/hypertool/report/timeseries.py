"""Time series: lines, points and bars, stacked or not, with thresholds and a legend."""

from __future__ import annotations

from .axes import BOTTOM, LEFT, RIGHT, TOP, draw_times, draw_values, time_text, value_axis, x_of, y_of
from .fields import paint, shown, steps_of
from .frames import reduced
from .model import Json, Row
from .texts import coordinate, escaped, path

#: Grafana's names of calculations, as the legend has them.
_TITLES: Json = {"mean": "Mean", "max": "Max", "min": "Min", "sum": "Total", "lastNotNull": "Last", "last": "Last"}
#: Series that one tip lists; the others are a number.
_TIP_ROWS = 6


def stacked(one: Json) -> bool:
    custom = one["field"]["custom"]
    return (custom.get("stacking") or {}).get("mode") == "normal"


def layers(series: list[Json]) -> list[Json]:
    """The series with [seconds, bottom, top] for each point; stacked ones stand on the sum of those before."""
    heights: Json = {}
    found = []
    for one in series:
        spans = []
        for moment, value in one["points"]:
            bottom = 0.0
            if stacked(one):
                # Added by time and not by position: series lack different columns.
                key = f"{coordinate(moment)}"
                before = heights.get(key)
                bottom = 0.0 if before is None else before
                heights[key] = bottom + value
            spans.append([moment, bottom, bottom + value])
        found.append({"series": one, "spans": spans})
    return found


def hidden(one: Json, where: str) -> bool:
    return bool((one["field"]["custom"].get("hideFrom") or {}).get(where))


def draw_series(panel: Json, series: list[Json], view: Json, width: float, height: float) -> str:
    """The picture without its legend."""
    visible = layers([one for one in series if not hidden(one, "viz")])
    field = series[0]["field"]
    axis = value_axis(_lowest(visible, field), _highest(visible, field), height)
    made = [draw_values(axis, field.get("unit") or "none", width, height), draw_times(view, width, height)]
    made.append(_thresholds(field, axis, width, height))
    for layer in visible:
        made.append(_marks(layer, axis, view, width, height))
    made.append(_tips(visible, view, width, height))
    return "".join(made)


def _lowest(visible: list[Json], field: Json) -> float:
    lowest = 0.0
    for layer in visible:
        for span in layer["spans"]:
            lowest = min(lowest, span[2])
    configured = field.get("min")
    return lowest if configured is None else float(configured)


def _highest(visible: list[Json], field: Json) -> float:
    configured = field.get("max")
    if configured is not None:
        return float(configured)
    highest = 0.0
    for layer in visible:
        for span in layer["spans"]:
            highest = max(highest, span[2])
    return highest if highest > 0 else 1.0


def _thresholds(field: Json, axis: Json, width: float, height: float) -> str:
    style = (field["custom"].get("thresholdsStyle") or {}).get("mode") or "off"
    made = []
    for step in steps_of(field):
        value = step.get("value")
        if style != "off" and value is not None and axis["low"] <= value <= axis["high"]:
            y = coordinate(y_of(axis, value, height))
            made.append(path(f"M{LEFT} {y}H{coordinate(width - RIGHT)}", "dashed " + paint(step["color"], "l")))
    return "".join(made)


def _marks(layer: Json, axis: Json, view: Json, width: float, height: float) -> str:
    custom = layer["series"]["field"]["custom"]
    style = custom.get("drawStyle") or "line"
    color = series_color(layer["series"])
    if style == "bars":
        return path(
            _bars(layer["spans"], axis, view, width, height, custom.get("barAlignment") or 0), paint(color, "c")
        )
    dots = _dots(layer["spans"], axis, view, width, height)
    if style == "points":
        large = (custom.get("pointSize") or 6) > 4
        return path(dots, ("dots " if large else "small dots ") + paint(color, "l"))
    line = _line(layer["spans"], axis, view, width, height)
    return path(line, "line " + paint(color, "l"))


def series_color(one: Json) -> str:
    setting = one["field"].get("color") or {}
    if setting.get("mode") == "fixed":
        return str(setting.get("fixedColor"))
    return f"s{one['field']['index'] % 12}"


def _bars(spans: list[list[float]], axis: Json, view: Json, width: float, height: float, side: int) -> str:
    """One box for each point; with `side` -1 it ends at its time: it counts what happened up to then."""
    column = (width - LEFT - RIGHT) * view["step"] / (view["end"] - view["start"])
    bar = max(1.5, column - 1 if column > 4 else column * 0.9)
    made = []
    for moment, bottom, top in spans:
        if top != bottom:
            x = x_of(view, moment, width) + (side - 1) * bar / 2
            low = y_of(axis, max(axis["low"], bottom), height)
            high = y_of(axis, min(axis["high"], top), height)
            x = max(LEFT, min(width - RIGHT - bar, x))
            made.append(f"M{coordinate(x)} {coordinate(low)}h{coordinate(bar)}V{coordinate(high)}h-{coordinate(bar)}z")
    return "".join(made)


def _dots(spans: list[list[float]], axis: Json, view: Json, width: float, height: float) -> str:
    made = []
    for span in spans:
        x = x_of(view, span[0], width)
        made.append(f"M{coordinate(x)} {coordinate(y_of(axis, span[2], height))}h0")
    return "".join(made)


def _line(spans: list[list[float]], axis: Json, view: Json, width: float, height: float) -> str:
    """A line that is broken where a column is missing; a point alone is a dot."""
    made = ""
    before = -1.0
    for span in spans:
        place = f"{coordinate(x_of(view, span[0], width))} {coordinate(y_of(axis, span[2], height))}"
        joined = before >= 0 and span[0] - before <= view["step"] * 1.5
        made = made + ("L" if joined else "M") + place + ("" if joined else "h0")
        before = span[0]
    return made


def _tips(visible: list[Json], view: Json, width: float, height: float) -> str:
    """An invisible box over each column that lists its values, largest first, when the pointer is on it."""
    columns: Json = {}
    moments = []
    for layer in visible:
        for index in range(len(layer["spans"])):
            moment = layer["spans"][index][0]
            key = f"{coordinate(moment)}"
            if columns.get(key) is None:
                columns[key] = []
                moments.append(moment)
            columns[key].append([layer["series"]["points"][index][1], layer["series"]])
    column = max(2.0, (width - LEFT - RIGHT) * view["step"] / (view["end"] - view["start"]))
    made = []
    for moment in sorted(moments):
        rows = sorted(columns[f"{coordinate(moment)}"], key=lambda row: -row[0])
        x = max(LEFT, x_of(view, moment, width) - column)
        made.append(
            f'<rect x="{coordinate(x)}" y="{TOP}" width="{coordinate(column)}" '
            f'height="{coordinate(height - TOP - BOTTOM)}" class="tip">'
            f"<title>{escaped(_tip(moment, rows))}</title></rect>"
        )
    return "".join(made)


def _tip(moment: float, rows: list[Row]) -> str:
    lines = [time_text(moment)]
    for value, one in rows[:_TIP_ROWS]:
        lines.append(one["name"] + ": " + str(shown(one["field"], value, moment, 1)["text"]))
    if len(rows) > _TIP_ROWS:
        lines.append(f"and {len(rows) - _TIP_ROWS} more")
    return "\n".join(lines)


def legend_of(panel: Json, series: list[Json], now: float) -> Json:
    """The legend as a table: a row for each series with its calculations."""
    options = (panel.get("options") or {}).get("legend") or {}
    calculations = options.get("calcs") or []
    rows = []
    for one in series:
        if not hidden(one, "legend"):
            cells: list[Json] = [{"text": one["name"], "sort": one["name"], "mark": series_color(one)}]
            for how in calculations:
                value = reduced(one, how)
                cells.append({"text": shown(one["field"], value, now, 1)["text"], "sort": value})
            rows.append(cells)
    titles = [_TITLES.get(how) or how for how in calculations]
    return {"columns": ["Name"] + titles, "rows": rows}  # noqa: RUF005 -- PScript knows no unpacking
