"""Tables, as HTML that sorts by a click on a column, and as SVG for pictures."""

from __future__ import annotations

from .environment import floor
from .fields import paint, shown
from .model import Json
from .texts import escaped, label, path, rectangle, shortened

_ROW = 22


def table_cells(panel: Json, table: Json, now: float) -> Json:
    """The table with a text, a value to sort by and a colour for each cell."""
    rows = []
    for row in table["rows"]:
        cells = []
        for index in range(len(row)):
            cells.append(_cell(table, index, row[index], now))
        rows.append(cells)
    orders = (panel.get("options") or {}).get("sortBy") or []
    return {
        "columns": [column["name"] for column in table["columns"]],
        "rows": rows,
        "sorted": orders[0] if len(orders) > 0 else None,
    }


def _cell(table: Json, index: int, value: object, now: float) -> Json:
    if isinstance(value, str):
        return {"text": value, "sort": value}
    field = table["columns"][index]["field"]
    high = max([1.0] + [row[index] for row in table["rows"] if row[index] is not None])
    what = shown(field, None if value is None else float(str(value)), now, high)
    style = (field["custom"].get("cellOptions") or {}).get("type") or ""
    filled = style == "color-background"
    return {"text": what["text"], "sort": value, "fill": what["color"] if filled else None}


def table_html(caption: str, table: Json) -> str:
    """The table; its headers are buttons that sort. `caption` is for screen readers."""
    made = [f'<table class="sortable"><caption>{escaped(caption)}</caption><thead><tr>']
    for index in range(len(table["columns"])):
        name = table["columns"][index]
        kind = ' class="n"' if _numeric(table, index) else ""
        made.append(f'<th scope="col" aria-sort="{_order(table, name)}"{kind}>')
        made.append(f'<button type="button">{escaped(name)}</button></th>')
    made.append("</tr></thead><tbody>")
    for row in table["rows"]:
        made.append("<tr>" + "".join([_cell_html(cell) for cell in row]) + "</tr>")
    made.append("</tbody></table>")
    return "".join(made)


def _order(table: Json, name: str) -> str:
    order = table.get("sorted")
    if order is None or order["displayName"] != name:
        return "none"
    return "descending" if order.get("desc") else "ascending"


def _numeric(table: Json, index: int) -> bool:
    return len([row for row in table["rows"] if isinstance(row[index].get("sort"), str)]) == 0


def _cell_html(cell: Json) -> str:
    value = cell.get("sort")
    if isinstance(value, str):
        mark = cell.get("mark")
        dot = "" if mark is None else f'<svg class="key" viewBox="0 0 10 10" aria-hidden="true">{_key(mark)}</svg>'
        return f"<td>{dot}{escaped(value)}</td>"
    color = cell.get("fill")
    kind = "n" if color is None else "n " + paint(color, "b")
    # Zeros are not padded, so the text of a whole number is the same everywhere.
    sort = "" if value is None else escaped(_plain(value))
    return f'<td class="{kind}" data-v="{sort}">{escaped(cell["text"])}</td>'


def _plain(value: float) -> str:
    """The value to sort by, in a thousandth of its first digits or better."""
    return f"{floor(value * 1000000)}"


def _key(color: str) -> str:
    return f'<rect width="10" height="10" class="{paint(color, "c")}"/>'


def table_svg(table: Json, width: float, top: float) -> str:
    """The table at a distance from the top of a picture."""
    starts = _starts(table, width)
    made = []
    for index in range(len(table["columns"])):
        room = starts[index + 1] - starts[index]
        made.append(label(starts[index] + 8, top + 15, shortened(table["columns"][index], room - 10), "h", "start"))
    for number in range(len(table["rows"])):
        y = top + _ROW * (number + 1)
        made.append(path(f"M0 {floor(y)}H{floor(width)}", "grid"))
        for index in range(len(table["rows"][number])):
            room = starts[index + 1] - starts[index]
            made.append(_cell_svg(table["rows"][number][index], starts[index], y, room))
    return "".join(made)


def _starts(table: Json, width: float) -> list[float]:
    """Where each column begins, and the end of the last: as wide as their longest texts, in proportion."""
    longest = []
    for index in range(len(table["columns"])):
        found = len(table["columns"][index]) + 3
        for row in table["rows"]:
            found = max(found, len(row[index]["text"]) + 3)
        longest.append(found)
    starts = [0.0]
    for one in longest:
        starts.append(starts[len(starts) - 1] + width * one / sum(longest))
    return starts


def _cell_svg(cell: Json, x: float, y: float, width: float) -> str:
    made = ""
    if cell.get("fill") is not None:
        made = rectangle(x, y + 1, width - 2, _ROW - 2, paint(cell["fill"], "c"), cell["text"])
    if cell.get("mark") is not None:
        made = rectangle(x, y + 7, 10, 10, paint(cell["mark"], "c"), cell["text"])
        x = x + 8
    kind = "v" if cell.get("fill") is None else "on"
    return made + label(x + 8, y + 15, shortened(cell["text"], width - 18), kind, "start")
