"""A restart waits for what would be lost by it, and for nothing else: two looks at Alloy's own metrics decide."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.support.ansible_module import shared_code

IDLE = """\
# HELP prometheus_remote_storage_samples_pending Waiting.
prometheus_remote_storage_samples_pending{component_id="prometheus.remote_write.destination",url="https://a/{b}"} 0
prometheus_remote_storage_samples_retried_total{url="https://a"} 41600
prometheus_remote_storage_highest_timestamp_in_seconds{component_id="prometheus.remote_write.destination"} 1000
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{url="https://a"} 1000
otelcol_exporter_queue_size{exporter="otlphttp/destination"} 0
otelcol_exporter_sent_spans_total{exporter="otlphttp/destination"} 5420
loki_write_batch_retries_total{host="a"} 0
"""


@pytest.fixture(scope="module")
def alloy() -> ModuleType:
    return shared_code("alloy")


class Metrics(http.server.ThreadingHTTPServer):
    """Stands where Alloy's own endpoint does."""

    text = IDLE


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(served.text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    served = Metrics(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def with_values(**values: float) -> str:
    lines = []
    for line in IDLE.splitlines():
        found = [value for part, value in values.items() if part in line and not line.startswith("#")]
        lines.append(f"{line.rpartition(' ')[0]} {found[0]}" if found else line)
    return "\n".join(lines) + "\n"


#: What is seen at first, what is seen some seconds later, and the metric that the refusal names (none: no refusal).
CASES = {
    "nothing waits, whatever happened before": ({}, {}, ""),
    "samples on their way": (
        {"pending": 500}, {"pending": 700, "highest_timestamp": 1015, "highest_sent": 1014}, ""),
    "samples are retried": (
        {"pending": 500}, {"pending": 900, "retried": 41700, "highest_sent": 1001}, "samples_pending"),
    "nothing is sent": ({"pending": 500}, {"pending": 900, "highest_timestamp": 1015}, "samples_pending"),
    "the backlog of an outage is being sent": (
        {"pending": 9000, "highest_timestamp": 2000, "highest_sent": 1100},
        {"pending": 9000, "highest_timestamp": 2000, "highest_sent": 1400}, "samples_pending"),
    "spans on their way": ({"queue_size": 3}, {"queue_size": 4, "sent_spans": 5500}, ""),
    "no span is sent": ({"queue_size": 3}, {"queue_size": 4}, "otelcol_exporter_queue_size"),
    "lines are retried": ({"batch_retries": 3}, {"batch_retries": 5}, "loki_write_batch_retries_total"),
    "lines were retried long ago": ({"batch_retries": 3}, {"batch_retries": 3}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("before", "now", "named"), CASES.values(), ids=CASES.keys())
def test_backlog_is_what_waits_and_cannot_get_out(
    alloy: ModuleType, metrics: Metrics, before: dict[str, float], now: dict[str, float], named: str
) -> None:
    """A backlog is what waits and cannot be delivered."""
    asked = alloy.Alloy(f"http://127.0.0.1:{metrics.server_address[1]}")
    metrics.text = with_values(**before)
    first = asked.figures()
    metrics.text = with_values(**now)
    found = alloy.backlog(first, asked.figures())
    assert len(found) == (1 if named else 0), found
    assert named in "".join(found)


def test_silent_collector_is_not_waited_for(alloy: ModuleType) -> None:
    """A collector that does not answer is not waited for."""
    assert alloy.wait_for_no_backlog(alloy.Alloy("http://127.0.0.1:9"), 60) == []


def test_nothing_waiting_costs_no_time(alloy: ModuleType, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alloy.time, "sleep", lambda seconds: pytest.fail(f"it waits {seconds} s for nothing"))
    assert alloy.wait_for_no_backlog(alloy.Alloy(f"http://127.0.0.1:{metrics.server_address[1]}"), 60) == []


def test_the_refusal_names_figure_time_and_variable(alloy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alloy, "wait_for_no_backlog", lambda *_: ["7 samples wait (a_metric)"])
    guard = {"unit": "alloy.service", "url": "", "wait": 120, "forced": False, "variable": "a_variable"}
    said = alloy.restart_refusal(None, "its environment changes", guard)
    for part in ("its environment changes", "7 samples wait (a_metric)", "120 s", "a_variable=true"):
        assert part in said
    assert alloy.restart_refusal(None, "", {**guard, "forced": True}) is None
