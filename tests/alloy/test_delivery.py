"""Every signal arrives with the labels that dashboards, rules and queries use, and nothing else arrives."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.alloy.collector import Collector, running
from tests.alloy.journal import JournalWriter
from tests.alloy.load import Load, slowly
from tests.support.box import until
from tests.support.cloud import CloudStandIn

ARRIVAL = 60.0
T = TypeVar("T")


def if_that_many(wanted: int, found: list[T]) -> list[T] | None:
    """For waiting until there are as many as wanted."""
    return found if len(found) == wanted else None


def one(cloud: CloudStandIn, query: str) -> dict[str, str]:
    """The labels of the one series that a query finds, once it is there."""
    rows = until(f"exactly one series of {query}", ARRIVAL, lambda: if_that_many(1, cloud.query(query)))
    labels: dict[str, str] = rows[0]["metric"]
    return labels


def send(collector: Collector, signal: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://{collector.listen}:4318/v1/{signal}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def resource(**attributes: str) -> dict[str, Any]:
    return {
        "attributes": [
            {"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in attributes.items()
        ]
    }


@pytest.fixture
def run() -> str:
    return secrets.token_hex(8)


def test_host_and_collector_metrics_have_their_jobs(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """Metrics of the host and of the collector arrive, each under its own job."""
    with running(to_cloud):
        for job, metric in (("node", "node_load1"), ("alloy", "alloy_build_info")):
            labels = one(cloud, f'{metric}{{job="{job}"}}')
            assert labels["instance"] == to_cloud.instance
            assert one(cloud, f'up{{job="{job}"}} == 1')["instance"] == to_cloud.instance


def test_in_a_container_the_metrics_are_the_hosts(to_cloud: Collector, cloud: CloudStandIn, tmp_path: Path) -> None:
    """In a container, the metrics are those of the host whose root is mounted."""
    root = tmp_path / "host"
    for name in ("proc", "sys"):
        (root / name).mkdir(parents=True)
    (root / "proc/loadavg").write_text("42.5 0.00 0.00 1/100 1234\n")
    to_cloud.environment["HYPERTOOL_ALLOY_HOST_ROOT"] = str(root)
    with running(to_cloud):
        one(cloud, 'node_load1{job="node"} == 42.5')


def test_dropped_target_file_is_scraped_without_reload(to_cloud: Collector, cloud: CloudStandIn, run: str) -> None:
    """Here the application is the collector itself: a real page of metrics on a known port."""
    with running(to_cloud):
        address = to_cloud.url.removeprefix("http://")
        (to_cloud.targets / "named.yml").write_text(
            f'- targets: ["{address}"]\n  labels: {{job: "mine", instance: "chosen", run: "{run}"}}\n'
        )
        (to_cloud.targets / "nameless.yml").write_text(
            f'- targets: ["{address}"]\n  labels: {{job: "nameless", run: "{run}"}}\n'
        )
        assert one(cloud, f'up{{run="{run}",job="mine"}}')["instance"] == "chosen"
        assert one(cloud, f'up{{run="{run}",job="nameless"}}')["instance"] == to_cloud.instance


def test_target_chooses_its_interval(to_cloud: Collector) -> None:
    """A target's file sets its interval; hypertool has five seconds without asking."""
    with running(to_cloud):
        address = to_cloud.url.removeprefix("http://")
        (to_cloud.targets / "both.yml").write_text(
            f'- targets: ["{address}"]\n  labels: {{job: "hypertool"}}\n'
            f'- targets: ["{address}"]\n'
            '  labels: {job: "quick", __scrape_interval__: "1s", __scrape_timeout__: "1s"}\n'
        )
        for interval in ("5s", "1s"):
            until(
                f"a scrape every {interval}",
                40,
                lambda interval=interval: (
                    to_cloud.metric(  # type: ignore[misc]
                        "prometheus_target_interval_length_seconds_count", interval=interval
                    )
                    or None
                ),
            )


def test_page_with_too_many_series_is_refused(to_cloud: Collector, cloud: CloudStandIn, run: str) -> None:
    """A page with too many series is refused, and `up` says so."""
    with running(to_cloud), Load(to_cloud, None, series=20001) as load:
        until(
            "the scrape to be counted as failed", ARRIVAL, lambda: cloud.query(f'up{{run="{load.run}"}} == 0') or None
        )
        assert cloud.query(f'load_scrapes_total{{run="{load.run}"}}') == []


def test_pushed_metrics_and_spans_name_their_host(to_cloud: Collector, cloud: CloudStandIn, run: str) -> None:
    """Pushed metrics and spans arrive, and both name their host."""
    with running(to_cloud):
        now = str(time.time_ns())  # after the start: what is older than that is not sent on
        send(
            to_cloud,
            "metrics",
            {
                "resourceMetrics": [
                    {
                        "resource": resource(service_name="agent"),
                        "scopeMetrics": [
                            {
                                "metrics": [
                                    {
                                        "name": "agent.turns",
                                        "unit": "1",
                                        "sum": {
                                            "aggregationTemporality": 2,
                                            "isMonotonic": True,
                                            "dataPoints": [
                                                {
                                                    "asInt": "7",
                                                    "timeUnixNano": now,
                                                    "attributes": resource(run=run)["attributes"],
                                                }
                                            ],
                                        },
                                    }
                                ]
                            }
                        ],
                    }
                ]
            },
        )
        send(
            to_cloud,
            "traces",
            {
                "resourceSpans": [
                    {
                        "resource": resource(service_name="agent"),
                        "scopeSpans": [
                            {
                                "spans": [
                                    {
                                        "traceId": run + run,
                                        "spanId": run,
                                        "name": "chat",
                                        "kind": 1,
                                        "startTimeUnixNano": now,
                                        "endTimeUnixNano": now,
                                    }
                                ]
                            }
                        ],
                    },
                    {
                        "resource": resource(service_name="agent", host_name="elsewhere"),
                        "scopeSpans": [
                            {
                                "spans": [
                                    {
                                        "traceId": run + run,
                                        "spanId": run[::-1],
                                        "name": "chat",
                                        "kind": 1,
                                        "startTimeUnixNano": now,
                                        "endTimeUnixNano": now,
                                    }
                                ]
                            }
                        ],
                    },
                ]
            },
        )
        labels = one(cloud, f'agent_turns_total{{run="{run}"}} == 7')
        assert (labels["job"], labels["instance"]) == ("agent", to_cloud.instance)
        spans = until(
            "both spans",
            ARRIVAL,
            lambda: if_that_many(2, [span for span in cloud.spans() if span.trace_id == run + run]),
        )
        hosts = {span.span_id: span.resource["host.name"] for span in spans}
        assert hosts == {run: to_cloud.instance, run[::-1]: "elsewhere"}, "a name that a sender gave must stay"


def test_lines_of_named_units_arrive_with_their_labels(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, run: str
) -> None:
    """Lines of the named units arrive with their labels; no other unit's lines do, whatever they call themselves."""
    with running(to_cloud):
        journal.write(f"not ours {run}", unit="other.service")
        journal.write(f"an error {run}", unit="hypertool-exporter.service", priority=3)
        journal.write(f"forged {run}", unit="user@1000.service", UNIT="hypertool-exporter.service", _PID="11")
        journal.write(f"Started {run}", unit="init.scope", UNIT="hypertool-exporter.service", _PID="1")
        lines = until(
            "both lines", ARRIVAL, lambda: if_that_many(2, [line for line in cloud.lines() if run in line.text])
        )
    assert [line.text for line in lines] == [f"an error {run}", f"Started {run}"]
    common = {"job": "journal", "instance": to_cloud.instance, "unit": "hypertool-exporter.service"}
    assert [line.labels for line in lines] == [{**common, "level": "error"}, {**common, "level": "info"}]


def test_lines_from_before_the_start_arrive_once(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, run: str
) -> None:
    journal.write(f"early {run}")
    with running(to_cloud):
        until("the early line", ARRIVAL, lambda: [line for line in cloud.lines() if run in line.text] or None)
        to_cloud.stop()
        journal.write(f"between {run}")
        to_cloud.start()
        lines = until(
            "the line between", ARRIVAL, lambda: if_that_many(2, [line for line in cloud.lines() if run in line.text])
        )
    assert [(line.text, line.count) for line in lines] == [(f"early {run}", 1), (f"between {run}", 1)]


def test_credential_is_rotated_under_load_without_loss(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, token_file: Path
) -> None:
    """A credential is rotated under load without a reload and without loss.

    The new credential is valid before the old one ends, as a rotation is done.
    """
    with running(to_cloud), Load(to_cloud, journal) as load:
        until("some of everything", ARRIVAL, lambda: min(load.handed_over(name) for name in load.times) > 4 or None)
        cloud.tokens.add("the-new-one")
        staged = token_file.with_suffix(".new")
        staged.write_text("the-new-one\n", encoding="utf-8")
        staged.rename(token_file)
        answered = {name: cloud.requests(name)[200] + cloud.requests(name)[204] for name in ("metrics", "logs", "otlp")}
        until(
            "a few answers to each service",
            ARRIVAL,
            lambda: (
                all(
                    cloud.requests(name)[200] + cloud.requests(name)[204] >= count + 3
                    for name, count in answered.items()
                )
                or None
            ),
        )
        cloud.tokens.discard(cloud.token)
        more = load.handed_over("samples") + 10
        until("ten seconds more", ARRIVAL, lambda: load.handed_over("samples") >= more or None)
        load.finish()
        until("everything to arrive", ARRIVAL, slowly(lambda: load.account(cloud).complete() or None))
        for name in answered:
            assert cloud.requests(name)[401] == 0, f"{name} used the old credential after it had ended"


def test_the_token_is_nowhere_to_be_seen(to_cloud: Collector, cloud: CloudStandIn) -> None:
    with running(to_cloud):
        one(cloud, 'up{job="alloy"} == 1')
        seen = [to_cloud.http(path)[1] for path in ("/metrics", "/-/healthy", "/api/v0/web/components")]
        seen += [to_cloud.http(f"/api/v0/web/components/{name}")[1] for name in to_cloud.components()]
        arguments = Path(f"/proc/{to_cloud.pid}/cmdline").read_bytes().decode()
        environment = Path(f"/proc/{to_cloud.pid}/environ").read_bytes().decode()
        assert to_cloud.http("/-/support")[0] != 200, "the support bundle must be off"
        assert to_cloud.http("/debug/pprof/heap")[0] != 200, "pprof must be off"
    files = [path.read_text(errors="replace") for path in to_cloud.directory.rglob("*") if path.is_file()]
    for text in [*seen, arguments, environment, *files]:
        assert cloud.token not in text
