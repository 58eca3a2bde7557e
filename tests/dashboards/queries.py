"""Lists every query of the dashboards and interpolates it as Grafana does; standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"


@dataclass(frozen=True)
class Query:
    """One query of one panel, variable or annotation, not yet interpolated."""

    uid: str
    panel: str
    ref: str
    kind: str
    expr: str
    instant: bool = True
    legend: str = ""
    interval: str = ""
    columns: int = 1000

    @property
    def name(self) -> str:
        return f"{self.uid}/{self.panel}/{self.ref}"


@dataclass(frozen=True)
class View:
    """What the person who looks at the dashboard has chosen; variables that are not named are "All"."""

    end: float
    range_seconds: int = 3600
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_interval: int = 15


def load_dashboards(directory: Path = DASHBOARDS) -> list[dict[str, Any]]:
    files = sorted(directory.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no dashboards in {directory}; run python3 -m grafana.generator")
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def panel_queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield Query(
                uid=dashboard["uid"],
                panel=panel["title"],
                ref=target["refId"],
                kind="panel",
                expr=target["expr"],
                instant=bool(target["instant"]),
                legend=target["legendFormat"],
                interval=panel.get("interval", ""),
                columns=panel.get("maxDataPoints", 1000),
            )


def variable_queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            expr = variable["query"]["query"]
            yield Query(dashboard["uid"], f"${variable['name']}", "variable", "variable", expr)


def annotation_queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield Query(dashboard["uid"], annotation["name"], "annotation", "annotation", annotation["expr"], False)


def all_queries(directory: Path = DASHBOARDS) -> list[Query]:
    """Every query of every panel, variable and annotation of every dashboard."""
    found: list[Query] = []
    for dashboard in load_dashboards(directory):
        found += [*panel_queries(dashboard), *variable_queries(dashboard), *annotation_queries(dashboard)]
    return found


def panel_query(uid: str, panel: str, ref: str = "A", directory: Path = DASHBOARDS) -> Query:
    for query in all_queries(directory):
        if (query.uid, query.panel, query.ref) == (uid, panel, ref):
            return query
    raise KeyError(f"no query {ref} in panel {panel!r} of dashboard {uid}")


# Grafana's own ladder of steps: up to the first number, the step is the second (rangeutil.roundInterval).
_LADDER = (
    (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300),
    (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800),
    (32400, 21600), (86400, 43200), (604800, 86400), (1814400, 604800),
)  # fmt: skip


def step_seconds(query: Query, view: View) -> int:
    """The width of one column, `$__interval`."""
    wanted = view.range_seconds / query.columns
    rounded = next((step for limit, step in _LADDER if wanted < limit), 2592000)
    return int(max(rounded, seconds(query.interval) if query.interval else 0, view.min_interval))


def seconds(duration: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", duration)
    if not match:
        raise ValueError(f"not a duration: {duration!r} (expected for example 15s, 1m, 1h, 7d)")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def interpolate(query: Query, view: View) -> str:
    """The expression with every variable put in as Grafana puts it in."""
    step = step_seconds(query, view)
    builtin = {
        "__interval": f"{step}s",
        "__interval_ms": f"{step * 1000}",
        "__rate_interval": f"{max(step + view.min_interval, 4 * view.min_interval)}s",
        "__range": f"{view.range_seconds}s",
        "__range_s": f"{view.range_seconds}",
        "__range_ms": f"{view.range_seconds * 1000}",
    }

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in builtin:
            return builtin[name]
        if name.startswith("__"):
            raise ValueError(f"{query.name} uses ${name}, which this library does not know")
        return _pattern(view.variables.get(name))

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, query.expr)


def _pattern(chosen: tuple[str, ...] | None) -> str:
    if chosen is None:
        return ".*"
    # Escaped once for the pattern and once more for the quoted string that it stands in.
    escaped = [re.escape(one).replace("\\-", "-").replace("\\", "\\\\") for one in chosen]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
