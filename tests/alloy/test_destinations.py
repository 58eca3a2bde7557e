"""The way there: through a proxy, into the Prometheus of this host, and past the end of what memory holds."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.alloy.collector import Collector, running
from tests.alloy.journal import JournalWriter
from tests.alloy.load import Load, slowly
from tests.alloy.test_outage import come_back, stay_away, warm
from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.cloud.metrics import Metrics
from tests.support.debian_binaries import BinariesUnavailable
from tests.support.forward_proxy import ForwardProxy
from tests.support.otlp_receiver import OtlpReceiver


def test_named_proxy_reaches_all_three_services(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter
) -> None:
    """All three services are reached through the proxy that is named."""
    with ForwardProxy() as proxy:
        to_cloud.environment["HYPERTOOL_ALLOY_PROXY_URL"] = f"http://{proxy.address}"
        with running(to_cloud), Load(to_cloud, journal) as load:
            warm(load, cloud)
        ports = {url.split("/")[2] for url in (cloud.metrics_url, cloud.logs_url, cloud.otlp_url)}
        assert ports <= set(proxy.tunnels)


def test_local_metrics_and_traces_have_their_addresses(
    make_collector: Callable[..., Collector], tmp_path: Path
) -> None:
    """Metrics go to the local Prometheus, and traces to the local address."""
    try:
        prometheus = Metrics(tmp_path / "prometheus")
    except BinariesUnavailable as error:
        pytest.skip(f"no Prometheus: {error}")
    try:
        with OtlpReceiver() as receiver:
            collector = make_collector(
                "local",
                {
                    "HYPERTOOL_ALLOY_METRICS_URL": f"http://127.0.0.1:{prometheus._port}/api/v1/write",
                    "HYPERTOOL_ALLOY_OTLP_URL": receiver.url,
                },
            )
            with running(collector):
                for job in ("alloy", "node"):
                    until(
                        f"{job} to be up",
                        60,
                        slowly(
                            lambda job=job: (
                                prometheus.query(  # type: ignore[misc]
                                    f'up{{job="{job}",instance="{collector.instance}"}} == 1'
                                )
                                or None
                            )
                        ),
                    )
                send_span(collector)
                (span,) = receiver.wait(1, 30)
            assert span.resource["host.name"] == collector.instance
    finally:
        prometheus.close()


@pytest.mark.timeout(600)
def test_full_trace_queue_makes_senders_wait(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """A full trace queue makes senders wait and keeps what it accepted.

    A queue of 100 kB is full of spans of 1 kB in a few seconds.
    """
    to_cloud.environment["HYPERTOOL_ALLOY_TRACES_QUEUE"] = "100000"
    with running(to_cloud), Load(to_cloud, None) as load:
        warm(load, cloud)
        cloud.fault("otlp", "503")
        until("the queue to be full", 60, lambda: to_cloud.metric("otelcol_exporter_queue_size") > 98000 or None)
        taken = load.handed_over("spans")
        stay_away(5, load)
        assert load.handed_over("spans") <= taken + 2, "senders must be made to wait"
        cloud.fault("otlp", None)
        more = taken + 50
        until("senders to go on", 90, lambda: load.handed_over("spans") >= more or None)
        account = come_back(load, cloud)
        assert account.repeated("spans") == []
        assert to_cloud.metric("otelcol_exporter_enqueue_failed_spans_total") == 0


@pytest.mark.timeout(600)
def test_lines_beyond_memory_wait_in_the_journal(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter
) -> None:
    """30 MB of lines in an outage, of which the writer holds 11 MiB."""
    count, filler = 3000, "x" * 10_000
    with running(to_cloud):
        cloud.fault("logs", "503")
        for number in range(count):
            journal.write(f"{filler} {number}")
        read = [-1.0]

        def reading_has_stopped() -> bool | None:
            read.append(to_cloud.metric("loki_source_journal_target_lines_total"))
            return (read[-1] == read[-2] > 0) or None

        until("the reader to be made to wait", 60, slowly(reading_has_stopped))
        assert read[-1] < count / 2, "memory took it all: this test needs more lines"
        cloud.fault("logs", None)
        until("every line", 120, slowly(lambda: len(cloud.lines(unit="load.service")) == count or None))
        lines = cloud.lines(unit="load.service")
    assert {int(line.text.split()[1]) for line in lines} == set(range(count))
    assert [line for line in lines if line.count != 1] == []


def send_span(collector: Collector) -> None:
    now = str(time.time_ns())
    body = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "1" * 32,
                                "spanId": "2" * 16,
                                "name": "chat",
                                "kind": 1,
                                "startTimeUnixNano": now,
                                "endTimeUnixNano": now,
                            }
                        ]
                    }
                ]
            }
        ]
    }
    request = urllib.request.Request(
        f"http://{collector.listen}:4318/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
