"""Scales: round numbers on a value axis, round times on a time axis."""

from __future__ import annotations

from .environment import floor, local_time, log10
from .model import Json
from .texts import coordinate, label, path
from .units import formatted

#: Widths of the columns between two marks on a time axis, in seconds.
_TIMES = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000]
LEFT = 78
RIGHT = 10
TOP = 8
BOTTOM = 22


def value_axis(low: float, high: float, height: float) -> Json:
    """An axis from `low` up to a round number that is not below `high`: its ends and its marks."""
    wanted = max(2, floor(height / 42))
    span = high - low
    if span <= 0:
        span = 1.0
    size = 10 ** floor(log10(span / wanted))
    step = size * 10
    for factor in [1, 2, 2.5, 5, 10]:
        if span / (size * factor) <= wanted:
            step = size * factor
            break
    count = floor((span + step * 0.999999) / step)
    decimals = max(0, 0 - floor(log10(step) + 0.0000001))
    if step * 10**decimals != floor(step * 10**decimals):
        decimals += 1
    marks = [low + step * index for index in range(count + 1)]
    return {"low": low, "high": low + step * count, "marks": marks, "decimals": decimals}


def y_of(axis: Json, value: float, height: float) -> float:
    """The distance from the top of the picture for a value."""
    room = height - TOP - BOTTOM
    return float(TOP + room - (value - axis["low"]) / (axis["high"] - axis["low"]) * room)


def x_of(view: Json, moment: float, width: float) -> float:
    """The distance from the left for a time in seconds."""
    return float(LEFT + (moment - view["start"]) / (view["end"] - view["start"]) * (width - LEFT - RIGHT))


def draw_values(axis: Json, unit: str, width: float, height: float) -> str:
    """The horizontal lines of the axis and what they stand for."""
    made = []
    for mark in axis["marks"]:
        y = y_of(axis, mark, height)
        made.append(path(f"M{LEFT} {coordinate(y)}H{coordinate(width - RIGHT)}", "grid"))
        made.append(label(LEFT - 6, y + 4, formatted(mark, unit, axis["decimals"], 0), "t", "end"))
    return "".join(made)


def draw_times(view: Json, width: float, height: float) -> str:
    """The marks of the time axis, at round times of the viewer's time zone."""
    span = view["end"] - view["start"]
    step = _TIMES[len(_TIMES) - 1]
    for one in _TIMES:
        if span / one * 64 <= width - LEFT - RIGHT:
            step = one
            break
    parts = local_time(view["start"])
    since_midnight = parts[3] * 3600 + parts[4] * 60 + parts[5]
    moment = floor(view["start"]) - since_midnight % step if step <= 86400 else floor(view["start"]) - since_midnight
    made = []
    while moment <= view["end"]:
        if moment >= view["start"]:
            x = x_of(view, moment, width)
            made.append(path(f"M{coordinate(x)} {TOP}V{coordinate(height - BOTTOM)}", "grid"))
            anchor = "middle" if x < width - 24 else "end"
            made.append(label(x, height - 6, time_mark(moment, span), "t", anchor))
        moment += step
    return "".join(made)


def time_mark(moment: float, span: float) -> str:
    """The hour and minute; the day at midnight, and everywhere in ranges of weeks."""
    parts = local_time(moment)
    day = two(parts[1]) + "-" + two(parts[2])
    midnight = parts[3] == 0 and parts[4] == 0
    return day if midnight or span > 14 * 86400 else two(parts[3]) + ":" + two(parts[4])


def time_text(moment: float) -> str:
    """The full time, to the minute."""
    parts = local_time(moment)
    return f"{parts[0]}-" + two(parts[1]) + "-" + two(parts[2]) + " " + two(parts[3]) + ":" + two(parts[4])


def two(value: int) -> str:
    return f"0{value}" if value < 10 else f"{value}"
