"""Answers of Prometheus as named series and as the rows of a table."""

from __future__ import annotations

from typing import Any

from .environment import finite, number
from .fields import field_of
from .model import Json, Row

#: Rows of a table, the first ones in its order; ours have ten, and a list of alerts one for each.
_MOST_ROWS = 500


def series_of(panel: Json, answers: Json) -> list[Json]:
    """The series of a panel: name, labels, points (seconds and value, without gaps) and settings."""
    found: list[Json] = []
    for target in panel.get("targets") or []:
        for result in answers.get(target["refId"]) or []:
            labels = result["metric"]
            # Overrides match the legend; the display name is one of the settings.
            name = legend(target.get("legendFormat") or "__auto", labels)
            field = field_of(panel, name, len(found))
            title = field.get("displayName")
            if title:
                name = display_name(title, labels).strip()
            found.append({"name": name, "labels": labels, "points": points_of(result), "field": field})
    return found


def points_of(result: Json) -> list[list[float]]:
    """The samples of one series; those that are no number are left out."""
    raw = result.get("values") or [result["value"]]
    points: list[list[float]] = []
    for pair in raw:
        value = number(pair[1])
        # Floats at the end of their range overflow in every axis; no figure of ours comes near.
        if finite(value) and abs(value) < 1e150:
            points.append([pair[0], 0.0 if abs(value) < 1e-150 else value])
    return points


def legend(pattern: str, labels: Json) -> str:
    """The name of a series from its pattern, `{{label}}`; without one, from its labels."""
    if pattern == "__auto":
        names = [name for name in sorted(labels.keys()) if name != "__name__"]
        return "{" + ", ".join([name + '="' + labels[name] + '"' for name in names]) + "}"
    return _filled(pattern, "{{", "}}", labels)


def display_name(pattern: str, labels: Json) -> str:
    return _filled(pattern, "${__field.labels.", "}", labels)


def _filled(pattern: str, before: str, after: str, labels: Json) -> str:
    parts = pattern.split(before)
    made = parts[0]
    for part in parts[1:]:
        cut = part.find(after)
        known = part if cut < 0 else part[cut + len(after) :]
        made = made + (before if cut < 0 else _label(labels, part[:cut].strip())) + known
    return made


def _label(labels: Json, name: str) -> str:
    return str(labels[name]) if name in labels else ""


def last_value(one: Json) -> float | None:
    points = one["points"]
    return float(points[len(points) - 1][1]) if len(points) > 0 else None


def reduced(one: Json, how: str) -> float | None:
    """One number for a series, by the name of Grafana's calculation; None where it has no points."""
    values = [point[1] for point in one["points"]]
    if len(values) == 0:
        return None
    total = 0.0
    for value in values:
        total = total + value
    if how == "sum":
        return total
    if how == "mean":
        return total / len(values)
    if how == "max":
        return float(max(values))
    if how == "min":
        return float(min(values))
    return float(values[len(values) - 1])


def table_of(panel: Json, answers: Json) -> Json:
    """Columns (name, settings) and rows (one value for each column, texts or numbers) of a table panel."""
    results: list[Json] = []
    for target in panel.get("targets") or []:
        results = results + (answers.get(target["refId"]) or [])
    names: list[str] = []
    for result in results:
        for name in result["metric"]:
            if name not in names:
                names.append(name)
    names = sorted(names) + ["Value"]  # noqa: RUF005 -- PScript knows no unpacking
    rows = [_row(result, names) for result in results]
    made: Json = {"names": ["Time"] + names, "rows": rows}  # noqa: RUF005
    for transformation in panel.get("transformations") or []:
        if transformation["id"] == "organize":
            made = _organized(made, transformation["options"])
    for order in _orders(panel):
        made = _sorted(made, order[0], order[1])
    columns: list[Json] = []
    for index in range(len(made["names"])):
        name = made["names"][index]
        columns.append({"name": name, "field": field_of(panel, name, index)})
    return {"columns": columns, "rows": made["rows"][:_MOST_ROWS], "found": len(made["rows"])}


def _row(result: Json, names: list[str]) -> Row:
    points = points_of(result)
    last = points[len(points) - 1] if len(points) > 0 else [0, None]
    row: Row = [last[0]]
    for name in names[: len(names) - 1]:
        row.append(_label(result["metric"], name))
    row.append(last[1])
    return row


def _organized(table: Json, options: Json) -> Json:
    excluded = options.get("excludeByName") or {}
    order = options.get("indexByName") or {}
    renamed = options.get("renameByName") or {}
    kept: list[Row] = []
    for index in range(len(table["names"])):
        name = table["names"][index]
        if not excluded.get(name):
            place = order.get(name)
            kept.append([1000 + index if place is None else place, index, renamed.get(name) or name])
    kept = sorted(kept, key=lambda one: one[0])
    rows = [[row[one[1]] for one in kept] for row in table["rows"]]
    return {"names": [one[2] for one in kept], "rows": rows}


def _orders(panel: Json) -> list[Row]:
    """By which columns the table is sorted, the least important first, so that sorting by each in turn does it."""
    orders = []
    options = panel.get("options") or {}
    for one in options.get("sortBy") or []:
        orders.append([one["displayName"], bool(one.get("desc"))])
    return [orders[len(orders) - 1 - index] for index in range(len(orders))]


def _sorted(table: Json, name: object, descending: object) -> Json:
    if name not in table["names"]:
        return table
    at = table["names"].index(name)
    rows = sorted(table["rows"], key=lambda row: _rank(row[at]))
    if descending:
        # Backwards, but rows that are equal keep their order.
        rows = _backwards(rows, at)
    return {"names": table["names"], "rows": rows}


def _rank(value: Any) -> Any:
    """What stands for the value in the order: nothing comes before every number."""
    return -1e300 if value is None else value


def _backwards(rows: list[Row], at: int) -> list[Row]:
    groups: list[list[Row]] = []
    for row in rows:
        if len(groups) == 0 or groups[len(groups) - 1][0][at] != row[at]:
            groups.append([])
        groups[len(groups) - 1].append(row)
    made: list[Row] = []
    for index in range(len(groups)):
        for row in groups[len(groups) - 1 - index]:
            made.append(row)
    return made
