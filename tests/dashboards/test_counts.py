"""The count form that all panels share is exact: no extrapolation, no lost birth, no double count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from prometheus.generator.counting import Metric, count_in
from tests.dashboards.backfill import Host, samples_of, true_count
from tests.dashboards.panels import Fetch
from tests.dashboards.scenarios import HOSTS, RANDOM_HOSTS, SWITCHES

WINDOWS = (15, 60, 300, 900, 3600, 7200)


def ask(fetch: Fetch, host: Host, window: int, **when: float) -> list[dict[str, Any]]:
    counted = count_in(Metric(SWITCHES, (f'instance="{host.instance}"',)), f"{window}s")
    expression = f"sum by (to_persona) {counted}"
    path = "/api/v1/query_range" if "step" in when else "/api/v1/query"
    answer = fetch(path, {"query": expression, **{name: f"{value:.3f}" for name, value in when.items()}})
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


@pytest.mark.parametrize("host", RANDOM_HOSTS, ids=lambda host: host.instance)
def test_window_gives_exactly_what_was_scraped(host: Host, filled: Fetch, end: float) -> None:
    """Every window gives exactly what was scraped in it."""
    samples = samples_of(host, end)
    compared = 0
    for window in WINDOWS:
        for before in range(0, 5400, 397):
            moment = end - before + 0.5
            got = {
                result["metric"]["to_persona"]: float(result["value"][1])
                for result in ask(filled, host, window, time=moment)
            }
            want = {
                dict(labels)["to_persona"]: count
                for (name, labels), (times, values) in samples.items()
                if name == SWITCHES and (count := true_count(times, values, moment - window, moment)) is not None
            }
            assert got == want, f"{host.instance}, window {window} s, {before} s before the end"
            compared += len(want)
    assert compared > 500


@pytest.mark.parametrize("host", RANDOM_HOSTS, ids=lambda host: host.instance)
def test_the_columns_of_a_graph_add_up_to_the_total(host: Host, filled: Fetch, end: float) -> None:
    """Also with columns narrower than the scrape interval, and across a gap in scraping."""
    for step in (15, 60, 120):
        columns = ask(filled, host, step, start=end - 10800 - 300, end=end + 0.5, step=step)
        for result in columns:
            persona = result["metric"]["to_persona"]
            drawn = math.fsum(float(value) for _, value in result["values"])
            last_column = float(result["values"][-1][0])
            times, values = next(
                samples
                for (_, labels), samples in samples_of(host, end).items()
                if dict(labels).get("to_persona") == persona
            )
            assert drawn == true_count(times, values, 0, last_column), f"{persona} at {step} s"
        assert len(columns) == 10


@pytest.mark.parametrize("host", [host for host in HOSTS if host not in RANDOM_HOSTS], ids=lambda host: host.instance)
def test_buckets_are_counted_alike(host: Host, filled: Fetch, end: float) -> None:
    """Buckets are counted as any counter is, though what their histogram has in common is read from its count."""
    name, matchers = "hypertool_workflow_stage_duration_seconds_bucket", (f'instance="{host.instance}"',)
    counted = [
        count_in(Metric(name, matchers), "WINDOW"),
        count_in(Metric("", (*matchers, f'__name__="{name}"')), "WINDOW"),
    ]
    compared = 0
    for window in ("60s", "3600s", "21600s"):
        found = []
        for one in counted:
            query = f"sum by (workflow, stage, le) {one.replace('WINDOW', window)}"
            times = {"start": f"{end - 12 * 3600:.0f}", "end": f"{end:.0f}", "step": "600"}
            answer = filled("/api/v1/query_range", {"query": query, **times})
            assert answer["status"] == "success", answer
            found.append({str(series["metric"]): series["values"] for series in answer["data"]["result"]})
        assert found[0] == found[1]
        compared += len(found[0])
    assert compared
