"""Long ranges of the report are asked for in a shorter form, and every figure stays what the dashboards give."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hypertool.report import report, shortcuts
from hypertool.report.prometheus import Prometheus
from hypertool.report.query import requests_of, variables_of
from tests.dashboards.panels import Fetch
from tests.support.debian_binaries import OLDEST_RELEASE

DAY = 86400
#: Windows of more than an hour, which are what takes long.
LONG = re.compile(r"last_over_time\(hypertool_\w+(?:\{[^}]*\})?\[(?:\d{5,}s|7200s)\]")


class Asking(Prometheus):
    """The client of the report on the connection of these tests; it keeps what it was asked."""

    def __init__(self, fetch: Fetch, broken: str = "nothing") -> None:
        super().__init__("http://127.0.0.1:1/")
        self.fetch, self.broken = fetch, broken
        self.asked: list[str] = []

    def ask(self, requests: Any) -> list[object]:
        return [self._answer(one) for one in requests]

    def _answer(self, request: dict[str, Any]) -> object:
        parameters = dict(request["parameters"])
        self.asked.append(parameters["query"])
        if self.broken in parameters["query"]:
            return "query processing would load too many samples into memory"
        answer = self.fetch(f"/api/v1/{request['path']}", parameters)
        return answer["data"]["result"] if answer["status"] == "success" else answer["error"]


def all_requests(end: float, seconds: int) -> list[dict[str, Any]]:
    return [one for each in report.dashboards() for one in requests_of(each, seconds, end, variables_of(each))]


def figures(result: Any) -> dict[tuple[str, float], float]:
    """The samples by labels and time."""
    return {
        (json.dumps(one["metric"], sort_keys=True), moment): float(value)
        for one in result
        for moment, value in one.get("values") or [one["value"]]
    }


def test_figures_are_those_of_the_dashboards(filled: Fetch, end: float, release: str) -> None:
    """On hosts that slept, were born, purged or scraped seldom, every query gives what the dashboard's own gives."""
    days, moment = (14, end) if release == OLDEST_RELEASE else (2, end - 900)  # when some hosts were away
    requests = all_requests(moment, days * DAY)
    short, plain = Asking(filled), Asking(filled)
    made = shortcuts.ask(short, requests, moment, days * DAY)
    for request, one, other in zip(requests, made, plain.ask(requests), strict=True):
        assert figures(one) == pytest.approx(figures(other), abs=1e-9), dict(request["parameters"])["query"]
    slow = {
        host for text in short.asked for hosts in re.findall(r'instance=~"([^".]+)"', text) for host in hosts.split("|")
    }
    assert slow >= {"purged", "purged-and-busy"}
    assert not slow & {"idle", "failing", "stack"}, "these are asked for as a whole: nothing is gained"


@pytest.mark.parametrize("days", [7, 14, 90])
def test_every_long_count_is_shortened(days: int) -> None:
    """No query reads all samples of a long window where each host allows it."""
    for request in all_requests(1.8e9, days * DAY):
        query = dict(request["parameters"])["query"]
        widths = {window.width for window in shortcuts.windows_of(request)}
        assert not LONG.findall(shortcuts.shorter(query, widths, set())), query


@pytest.mark.parametrize("broken", ["resets(hypertool_llm_requests_total[", "unless sum by (job, instance)"])
def test_unknown_hosts_are_not_shortened(broken: str) -> None:
    """If Prometheus cannot say what the hosts were like, it is asked what the dashboards ask."""
    requests = all_requests(1.8e9, 14 * DAY)
    client = Asking(lambda *_: {"status": "success", "data": {"result": []}}, broken)
    shortcuts.ask(client, requests, 1.8e9, 14 * DAY)
    assert client.asked[-len(requests) :] == [dict(one["parameters"])["query"] for one in requests]


def test_host_names_are_literals() -> None:
    """A host's name cannot change the query."""
    made = shortcuts.shorter("last_over_time(hypertool_x_total[9000s])", {9000}, {'a.b"} or up{x="'})
    assert made.count(r'"a\\.b\"\\}\\ or\\ up\\{x=\""') == 2
