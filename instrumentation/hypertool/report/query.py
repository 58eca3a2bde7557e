"""What a panel asks Prometheus: the expression with Grafana's variables put in, and its steps."""

from __future__ import annotations

from .environment import floor, quoted_pattern
from .model import Json, Row

#: Grafana's ladder of steps: up to the first number of seconds, a column is as wide as the second.
_LADDER: list[Row] = [
    [1.5, 1], [3.5, 2], [7.5, 5], [12.5, 10], [17.5, 15], [25, 20], [45, 30], [90, 60], [210, 120], [450, 300],
    [750, 600], [1050, 900], [1500, 1200], [2700, 1800], [5400, 3600], [9000, 7200], [16200, 10800],
    [32400, 21600], [86400, 43200], [604800, 86400], [1814400, 604800],
]  # fmt: skip
_LETTERS: Json = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: The smallest step: the scrape interval that the data source of Grafana has too.
SCRAPE_SECONDS = 15
#: Columns of a panel that sets no number.
_COLUMNS = 360


def duration(text: str) -> int:
    """Seconds of a length such as 15s, 30m, 24h, 7d or 2w; 0 if it is none."""
    unit = _LETTERS.get(text[len(text) - 1 :]) if text else None
    digits = text[: len(text) - 1] if text else ""
    if unit is None or digits == "":
        return 0
    for character in digits:
        if character not in "0123456789":
            return 0
    return int(digits) * int(unit)


def panel_range(panel: Json, range_seconds: int) -> int:
    """The range of a panel in seconds: its own, where it has one."""
    own = duration(panel.get("timeFrom") or "")
    return own if own > 0 else range_seconds


def step_seconds(panel: Json, range_seconds: int) -> int:
    """The width of one column of the panel, `$__interval`."""
    wanted = panel_range(panel, range_seconds) / (panel.get("maxDataPoints") or _COLUMNS)
    step = 2592000
    for row in _LADDER:
        if wanted < row[0]:
            step = int(row[1])
            break
    return max(step, duration(panel.get("interval") or ""), SCRAPE_SECONDS)


def expression(panel: Json, target: Json, range_seconds: int, variables: list[Json]) -> str:
    """The expression as it is sent; variables that are not chosen are "All"."""
    step = step_seconds(panel, range_seconds)
    width = panel_range(panel, range_seconds)
    rate = max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)
    # The longer names first: one is the beginning of another.
    values: list[Row] = [
        ["__rate_interval", f"{rate}s"],
        ["__interval_ms", f"{step * 1000}"],
        ["__interval", f"{step}s"],
        ["__range_ms", f"{width * 1000}"],
        ["__range_s", f"{width}"],
        ["__range", f"{width}s"],
    ]
    for variable in variables:
        values.append([variable["name"], chosen_pattern(variable.get("chosen") or [], variable.get("all") or ".*")])
    text: str = target["expr"]
    for pair in values:
        text = text.replace("${" + pair[0] + "}", pair[1])
        text = _replaced(text, "$" + pair[0], pair[1])
    return text


def _replaced(text: str, name: str, value: str) -> str:
    """Replace a `$name` that is not the beginning of a longer one."""
    parts = text.split(name)
    made = parts[0]
    for index in range(1, len(parts)):
        following = parts[index][:1]
        whole = following == "" or not (following.isalnum() or following == "_")
        made = made + (value if whole else name) + parts[index]
    return made


def chosen_pattern(chosen: list[str], everything: str) -> str:
    """The values of a variable as Grafana writes them into a pattern."""
    if len(chosen) == 0:
        return everything
    quoted = [quoted_pattern(one) for one in chosen]
    return quoted[0] if len(quoted) == 1 else "(" + "|".join(quoted) + ")"


def variables_of(dashboard: Json) -> list[Json]:
    """The variables that filter: name, label, selector and label of their values, and what stands for all of them."""
    found = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            inner = variable["query"]["query"]
            inner = inner[len("label_values(") : len(inner) - 1]
            cut = inner.rfind(",")
            found.append(
                {
                    "name": variable["name"],
                    "title": variable.get("label") or variable["name"],
                    "selector": inner[:cut],
                    "of": inner[cut + 1 :].strip(),
                    "all": variable.get("allValue") or ".*",
                    "chosen": [],
                }
            )
    return found


def requests_of(dashboard: Json, range_seconds: int, end: float, variables: list[Json]) -> list[Json]:
    """Every query of the dashboard, as the parameters of Prometheus' API."""
    found: list[Json] = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets") or []:
            expr = expression(panel, target, range_seconds, variables)
            key = {"panel": panel["id"], "ref": target["refId"]}
            if target.get("instant"):
                found.append({"key": key, "path": "query", "parameters": [["query", expr], ["time", f"{floor(end)}"]]})
            else:
                step = step_seconds(panel, range_seconds)
                last = floor(end / step) * step
                first = floor((end - panel_range(panel, range_seconds)) / step) * step
                parameters = [["query", expr], ["start", f"{first}"], ["end", f"{last}"], ["step", f"{step}"]]
                found.append({"key": key, "path": "query_range", "parameters": parameters})
    return found
