"""Heatmaps: cumulative buckets as rows, time as columns, the number of events as colour."""

from __future__ import annotations

from .axes import BOTTOM, LEFT, RIGHT, TOP, draw_times, time_text, x_of
from .environment import floor, number
from .model import Json
from .texts import coordinate, escaped, label
from .units import formatted

#: Cells with fewer events than this are not drawn: what Grafana calls "hide cells with values <=".
_NOTHING = 1e-9
#: How many colours there are; the style sheet has them as heat0 to heat15.
HEAT = 16


def rows_of(series: list[Json]) -> list[Json]:
    """The buckets from the lowest: upper bound and [seconds, events] of each column that has any."""
    ordered = sorted([one for one in series if one["labels"].get("le") is not None], key=_bound)
    below: Json = {}
    found = []
    for one in ordered:
        cells = []
        current: Json = {}
        for moment, value in one["points"]:
            key = f"{coordinate(moment)}"
            current[key] = value
            before = below.get(key)
            events = value - (0.0 if before is None else before)
            if events > _NOTHING:
                cells.append([moment, events])
        found.append({"bound": _bound(one), "le": one["labels"]["le"], "cells": cells})
        below = current
    return found


def _bound(one: Json) -> float:
    return number(one["labels"]["le"])


def draw_heatmap(panel: Json, series: list[Json], view: Json, width: float, height: float) -> str:
    rows = rows_of(series)
    unit = ((panel.get("options") or {}).get("yAxis") or {}).get("unit") or "none"
    most = 0.0
    for row in rows:
        for cell in row["cells"]:
            most = max(most, cell[1])
    tall = (height - TOP - BOTTOM) / max(1, len(rows))
    column = max(3.0, (width - LEFT - RIGHT) * view["step"] / (view["end"] - view["start"]) - 0.5)
    made = [draw_times(view, width, height)]
    for index in range(len(rows)):
        row = rows[index]
        y = height - BOTTOM - (index + 1) * tall
        name = row_name(row, unit)
        made.append(label(LEFT - 6, y + tall / 2 + 4, name, "t", "end"))
        for moment, events in row["cells"]:
            x = max(LEFT, x_of(view, moment, width) - column)
            tip = time_text(moment) + "\n" + name + ": " + formatted(events, "locale", None, 0)
            made.append(
                f'<rect x="{coordinate(x)}" y="{coordinate(y + 0.5)}" width="{coordinate(column)}" '
                f'height="{coordinate(max(1, tall - 1))}" class="heat{heat(events, most)}">'
                f"<title>{escaped(tip)}</title></rect>"
            )
    return "".join(made)


def row_name(row: Json, unit: str) -> str:
    if row["le"] == "+Inf":
        return "above"
    return "\u2264 " + formatted(row["bound"], unit, None, 0)


def heat(events: float, most: float) -> int:
    """The colour of a number of events, on a scale of square roots as in the dashboards."""
    part: float = (events / most) ** 0.5
    return min(HEAT - 1, floor(part * (HEAT - 1) + 0.5))


def empty_heatmap(series: list[Json]) -> bool:
    return sum([len(row["cells"]) for row in rows_of(series)]) == 0
