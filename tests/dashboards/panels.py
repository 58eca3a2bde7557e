"""Runs every query of the dashboards against any Prometheus, and knows what a baseline run must show.

Standard library only, so that it needs only Python.
"""

from __future__ import annotations

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dashboards.queries import DASHBOARDS, Query, View, all_queries, interpolate, step_seconds
from tests.support.personas import BUDGETS

#: `fetch(path, parameters)` answers with the decoded JSON of Prometheus, errors included.
Fetch = Callable[[str, Mapping[str, str]], dict[str, Any]]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Series:
    labels: Labels
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]

    @property
    def total(self) -> float:
        return math.fsum(value for _, value in self.points)


class QueryFailed(AssertionError):
    """Prometheus refused a query; the message has the panel, the query and the answer."""


def run(query: Query, view: View, fetch: Fetch) -> list[Series]:
    """The series that the panel gets; an instant query has one point in each."""
    expr = interpolate(query, view)
    if query.kind == "variable":
        raise ValueError(f"{query.name} is a variable: use variable_values")
    if query.instant:
        answer = fetch("/api/v1/query", {"query": expr, "time": f"{view.end:.3f}"})
    else:
        step = step_seconds(query, view)
        end = view.end // step * step
        start = (view.end - view.range_seconds) // step * step
        answer = fetch(
            "/api/v1/query_range", {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step}"}
        )
    if answer.get("status") != "success":
        raise QueryFailed(f"{query.name}: {answer.get('error', answer)}\n{expr}")
    return [
        Series(result["metric"], tuple((float(t), float(v)) for t, v in result.get("values") or [result["value"]]))
        for result in answer["data"]["result"]
    ]


def variable_values(query: Query, view: View, fetch: Fetch) -> list[str]:
    """What the variable's list offers."""
    match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", interpolate(query, view))
    if not match:
        raise ValueError(f"{query.name}: only label_values(selector, label) is known, not {query.expr!r}")
    window = {"start": f"{view.end - view.range_seconds:.3f}", "end": f"{view.end:.3f}"}
    answer = fetch(f"/api/v1/label/{match[2]}/values", {"match[]": match[1], **window})
    if answer.get("status") != "success":
        raise QueryFailed(f"{query.name}: {answer.get('error', answer)}")
    return list(answer["data"])


def http_fetch(base_url: str, timeout: float = 30, authorization: str = "") -> Fetch:
    """Ask the Prometheus at `base_url`, for example http://127.0.0.1:9090; `authorization` is sent as that header."""
    headers = {"Authorization": authorization} if authorization else {}

    def fetch(path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        url = f"{base_url.rstrip('/')}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
                body = response.read()
        except urllib.error.HTTPError as refused:
            body = refused.read()
        answer: dict[str, Any] = json.loads(body)
        return answer

    return fetch


@dataclass(frozen=True)
class Expected:
    """What one query gives: for each combination of label values, the lowest and the highest right number.

    `reduce` says what is made of the points of a series: the "last" one, their "total", or "events" for a
    panel per minute, whose points are turned back into a number of events. Hosts are called "*" in the values. An
    `optional` query may also give nothing, as on a Prometheus without our rules.
    """

    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], tuple[float, float]]
    reduce: str = "last"
    optional: bool = False


#: A stage of the baseline waits for a simulated model: never nothing, and not long even on a busy machine.
_STAGE_SECONDS = (0.0001, 30.0)
_PERSONAS = ("backend-engineer", "testing-specialist", "devops-engineer")
_STAGES = ("version_bump", "quality_validation", "publish_deploy")


Ranges = dict[tuple[str, ...], tuple[float, float]]


def expected_after_baseline() -> dict[str, Expected]:
    """For every panel query, by `Query.name`, what it shows after one baseline run on a new host."""
    persona, workflow = "hypertool-persona-overview", "hypertool-workflow-performance"
    chain = zip(("none", *_PERSONAS), _PERSONAS, strict=False)
    switches: Ranges = {(before, after, "package-release"): (1.0, 1.0) for before, after in chain}
    left = {"frontend-engineer": 1800, "observability-expert": 2000, "data-scientist": 1700}
    left |= dict(zip(_PERSONAS, (1150, 850, 1250), strict=True))
    used = dict(zip(_PERSONAS, (850, 650, 550), strict=True))
    transition = ("from_persona", "to_persona", "chatmode")
    by_stage: Ranges = {("package_release", stage): _STAGE_SECONDS for stage in _STAGES}
    rows: list[tuple[str, ...]] = [
        ("package_release", stage, who) for stage, who in zip(_STAGES, _PERSONAS, strict=True)
    ]
    columns = ("workflow", "stage", "persona")
    limits = {who: str(BUDGETS[who]) for who in left}
    first_two = {
        f"{persona}/Persona Switch Rate/A": Expected(transition, switches, "events"),
        f"{persona}/Persona Duration Distribution/A": Expected(("le",), {("+Inf",): (3, 3)}, "total"),
        f"{persona}/Token Usage by Persona/A": Expected(("persona",), {(p,): (n, n) for p, n in used.items()}),
        f"{persona}/Token Budget Remaining/A": Expected(
            ("persona", "limit"), {(p, limits[p]): (n, n) for p, n in left.items()}
        ),
        f"{persona}/Top Persona Transitions/A": Expected(transition, switches),
        f"{persona}/Alerts Firing/A": Expected((), {(): (0, 0)}, optional=True),
        f"{persona}/Last Tokens Used/A": Expected((), {(): (1e12, 1e13)}),
        f"{persona}/LLM Cost/A": Expected((), {(): (0, 0)}),
        f"{persona}/Failed LLM Calls/A": Expected((), {(): (0, 0)}),
        f"{workflow}/Workflow Stage Duration/A": Expected(("workflow", "stage"), by_stage),
        f"{workflow}/Workflow Stage Duration/B": Expected(("workflow", "stage"), by_stage),
        f"{workflow}/Quality Gate Success Rate/A": Expected((), {(): (1, 1)}),
        f"{workflow}/Quality Gate Success Rate/B": Expected(("workflow",), {("package_release",): (1, 1)}),
        f"{workflow}/Failed Quality Gates/A": Expected(("workflow", "stage"), {("none failed", "all stages"): (0, 0)}),
        f"{workflow}/Slowest Workflow Stages/A": Expected(columns, dict.fromkeys(rows, _STAGE_SECONDS)),
        f"{workflow}/Workflow Execution Trends/A": Expected(
            ("workflow", "result"), {("package_release", "pass"): (3, 3)}, "total"
        ),
    }
    return first_two | _cost_after_baseline() | _agents_after_baseline() | _pipeline_after_baseline()


def _cost_after_baseline() -> dict[str, Expected]:
    """The simulated model costs nothing and does not stream; its tokens are estimated in two kinds."""
    cost, model = "hypertool-llm-cost", ("simulated",)
    kinds: Ranges = {("input",): (1, 2049), ("output",): (1, 2049)}
    return {
        f"{cost}/Cost/A": Expected((), {(): (0, 0)}),
        f"{cost}/Calls by Outcome/A": Expected(("outcome",), {("success",): (3, 3)}),
        f"{cost}/Cache Hit Ratio/A": Expected(("model",), {model: (0, 0)}),
        f"{cost}/Unknown Usage/A": Expected((), {(): (0, 0)}),
        f"{cost}/Cost over Time/A": Expected(("model",), {}),
        f"{cost}/Cost by Persona/A": Expected(("persona",), {}),
        f"{cost}/Call Duration/A": Expected(("model",), {model: _STAGE_SECONDS}),
        f"{cost}/Time to First Chunk/A": Expected(("model",), {}),
        f"{cost}/Tokens by Kind/A": Expected(("kind",), kinds, "total"),
        f"{cost}/Cost of a Call/A": Expected(("persona", "model"), {(who, "simulated"): (0, 0) for who in _PERSONAS}),
    }


def _agents_after_baseline() -> dict[str, Expected]:
    """A baseline run is no coding agent."""
    labels: dict[str, tuple[str, ...]] = {
        "Active Sessions": ("agent",),
        "Last Heard Of": ("agent", "instance"),
        "Records Not Understood": ("agent", "reason"),
        "Agent Calls": ("agent",),
        "Agent Tokens by Kind": ("kind",),
        "Tokens by Agent and Persona": ("agent", "persona"),
        "Stopped by a Budget": ("agent", "persona"),
        "Where Calls Were Found": ("agent", "source"),
    }
    return {f"hypertool-agents/{title}/A": Expected(kept, {}) for title, kept in labels.items()}


def _pipeline_after_baseline() -> dict[str, Expected]:
    """The endpoint is up; sinks, collector, alerts and disks are not part of a baseline run."""
    pipeline = "hypertool-pipeline-health"
    labels: dict[str, tuple[str, ...]] = {
        "Firing Alerts/A": ("alertname", "severity", "instance", "persona"),
        "Last Export/A": ("sink",),
        "Spans by Sink and Outcome/A": ("sink", "outcome"),
        "Losses of the Collector/A": ("instance", "what"),
        "Delay of Metrics/A": ("instance",),
        "Waiting to Be Sent/A": ("instance",),
        "Waiting to Be Sent/B": ("instance",),
        "Values Beyond the Label Limit/A": ("label",),
        "Free Disk Space/A": ("instance", "mountpoint"),
    }
    return {f"{pipeline}/{name}": Expected(kept, {}) for name, kept in labels.items()} | {
        f"{pipeline}/Endpoints/A": Expected(("instance",), {("*",): (1, 1)}),
        f"{pipeline}/Files of the Store/A": Expected((), {(): (0, 0)}),
        f"{pipeline}/Files of the Store/B": Expected((), {(): (0, 0)}),
    }


def reduced(query: Query, view: View, series: list[Series], how: Expected) -> dict[tuple[str, ...], float]:
    """The series as one number for each combination of label values."""
    per_event = {"last": 0.0, "total": 1.0, "events": step_seconds(query, view) / 60}[how.reduce]
    return {
        tuple("*" if label == "instance" else one.labels.get(label, "") for label in how.labels): one.total * per_event
        if per_event
        else one.last
        for one in series
    }


def deviations(query: Query, view: View, series: list[Series], expected: Expected) -> list[str]:
    """What differs from the expectation, in words; empty if nothing does."""
    found = reduced(query, view, series, expected)
    if "le" in expected.labels:  # the lower buckets depend on how fast the machine is
        found = {key: value for key, value in found.items() if key in expected.values}
    if expected.optional and not found:
        return []
    problems = []
    for key in sorted(found.keys() | expected.values.keys()):
        if key not in expected.values:
            problems.append(f"{query.name}: {key} is {found[key]:g}, expected no such series")
        elif key not in found:
            problems.append(f"{query.name}: {key} is missing, expected {expected.values[key]}")
        else:
            low, high = expected.values[key]
            if not low - 1e-9 <= found[key] <= high + 1e-9:
                problems.append(f"{query.name}: {key} is {found[key]:g}, expected {low:g} to {high:g}")
    return problems


def baseline_deviations(view: View, fetch: Fetch, directory: Path = DASHBOARDS) -> list[str]:
    """Run every panel query on a host that has seen one baseline run; empty if every panel shows that run."""
    expected = expected_after_baseline()
    problems = []
    for query in all_queries(directory):
        if query.kind == "panel":
            problems += deviations(query, view, run(query, view, fetch), expected[query.name])
    return problems
