"""Single values: stat panels, horizontal bars and gauges."""

from __future__ import annotations

from .environment import PI, cos, floor, sin
from .fields import paint, share, shown, steps_of
from .frames import last_value
from .model import Json
from .texts import coordinate, label, path, rectangle, shortened

_BAR_ROW = 26


def highest(series: list[Json]) -> float:
    """The largest value: the end of a scale without a configured maximum."""
    found = 0.0
    for one in series:
        value = last_value(one)
        if value is not None:
            found = max(found, value)
    return found if found > 0 else 1.0


def draw_stat(panel: Json, series: list[Json], view: Json, width: float, height: float) -> str:
    """Large numbers, one cell for each series, coloured in their background or in their digits."""
    options = panel.get("options") or {}
    filled = options.get("colorMode") == "background"
    named = options.get("textMode") == "value_and_name" or (len(series) > 1 and options.get("textMode") != "value")
    columns = _columns(len(series), width, height)
    rows = floor((len(series) + columns - 1) / columns)
    cell, row = width / columns, height / rows
    made = []
    for index in range(len(series)):
        one = series[index]
        x, y = (index % columns) * cell, floor(index / columns) * row
        what = shown(one["field"], last_value(one), view["end"], highest(series))
        if filled and what["color"] != "quiet":
            tip = one["name"] + ": " + what["text"]
            made.append(rectangle(x + 2, y + 2, cell - 4, row - 4, paint(what["color"], "c"), tip))
        kind = "on" if filled and what["color"] != "quiet" else paint(what["color"], "k")
        size = _size(what["text"], cell, row - (18 if named else 0))
        middle = y + row / 2 + (size * 4 if not named else size * 4 - 8)
        made.append(
            label(x + cell / 2, middle, shortened(what["text"], cell * 6 / size), f"{kind} big{size}", "middle")
        )
        if named:
            name = shortened(one["name"], cell - 12)
            made.append(label(x + cell / 2, y + row - 12, name, "on" if kind == "on" else "t", "middle"))
    return "".join(made)


def _columns(count: int, width: float, height: float) -> int:
    """How many cells stand side by side so that they are wider than high."""
    columns = 1
    while columns < count and width / (columns + 1) >= 110 and height / ((count + columns - 1) // columns) < 90:
        columns += 1
    return columns


def _size(text: str, width: float, height: float) -> int:
    """A step of the font, 1 to 4, that fits."""
    for size in [4, 3, 2]:
        if len(text) * size * 6.2 <= width - 16 and size * 11 <= height - 8:
            return size
    return 1


def draw_bars(panel: Json, series: list[Json], view: Json, width: float, height: float) -> str:
    """Horizontal bars with their names before and their values behind them."""
    top = highest(series)
    names = min(width * 0.42, 6.8 * max([len(one["name"]) for one in series]) + 12)
    room = width - names - 96
    row = height / len(series)
    made = []
    for index in range(len(series)):
        one = series[index]
        value = last_value(one)
        what = shown(one["field"], value, view["end"], top)
        y = index * row
        middle = y + row / 2 + 4
        tip = one["name"] + ": " + what["text"]
        part = 0.0 if value is None else share(one["field"], value, 0, top)
        made.append(label(names - 8, middle, shortened(one["name"], names - 8), "t", "end"))
        made.append(rectangle(names, y + 3, room, row - 6, "track", tip))
        made.append(rectangle(names, y + 3, room * part, row - 6, paint(what["color"], "c"), tip))
        made.append(label(names + room + 8, middle, what["text"], "v", "start"))
    return "".join(made)


def bars_height(series: list[Json]) -> float:
    """As high as the bars need."""
    return float(_BAR_ROW * len(series))


def draw_gauges(panel: Json, series: list[Json], view: Json, width: float, height: float) -> str:
    """Half circles from minimum to maximum, with the thresholds around them."""
    count = len(series)
    columns = max(1, min(count, floor(width / 130)))
    rows = floor((count + columns - 1) / columns)
    cell, row = width / columns, height / rows
    made = []
    for index in range(count):
        x, y = (index % columns + 0.5) * cell, floor(index / columns) * row
        made.append(_gauge(series[index], x, y, cell, row, view["end"], highest(series)))
    return "".join(made)


def _gauge(one: Json, x: float, y: float, width: float, height: float, now: float, top: float) -> str:
    field = one["field"]
    value = last_value(one)
    what = shown(field, value, now, top)
    radius = min(width / 2 - 10, height - 52)
    base = y + radius + 12
    part = 0.0 if value is None else share(field, value, 0, top)
    made = [path(arc(x, base, radius - 8, 0, 1), "ring track-line")]
    if part > 0:
        made.append(path(arc(x, base, radius - 8, 0, part), "ring " + paint(what["color"], "l")))
    before, color = 0.0, "green"
    for step in steps_of(field):
        bound = step.get("value")
        start = 0.0 if bound is None else share(field, bound, 0, top)
        if start > before:
            made.append(path(arc(x, base, radius + 3, before, start), "rim " + paint(color, "l")))
        before, color = start, step["color"]
    made.append(path(arc(x, base, radius + 3, before, 1), "rim " + paint(color, "l")))
    made.append(label(x, base - 6, what["text"], "v big2", "middle"))
    made.append(label(x, base + 20, shortened(one["name"], width * 1.3), "t narrow", "middle"))
    return "".join(made)


def arc(x: float, y: float, radius: float, start: float, end: float) -> str:
    """A part of the upper half circle, from 0 (left) to 1 (right)."""
    radius = max(4.0, radius)
    first, last = PI * (1 - start), PI * (1 - end)
    begin = f"M{coordinate(x + radius * cos(first))} {coordinate(y - radius * sin(first))}"
    size = coordinate(radius)
    return begin + f"A{size} {size} 0 0 1 {coordinate(x + radius * cos(last))} {coordinate(y - radius * sin(last))}"
