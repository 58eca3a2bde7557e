"""The count form that all panels share is exact: no extrapolation, no lost birth, no double count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from prometheus.generator.counting import Metric, count_in
from tests.dashboards.backfill import Host, samples_of, true_count
from tests.dashboards.panels import Fetch
from tests.dashboards.scenarios import RANDOM_HOSTS, SWITCHES

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
