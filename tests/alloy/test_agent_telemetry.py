"""What coding agents push over OTLP: logs without their content, and metrics of delta temporality; needs an Alloy."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from typing import Any

from tests.alloy.collector import FILES, Collector, running
from tests.alloy.test_delivery import ARRIVAL, resource, send
from tests.support.box import until
from tests.support.cloud import CloudStandIn

FILTERED = "otelcol_processor_filter_datapoints_filtered_total"


def send_sum(collector: Collector, temporality: int, value: int) -> None:
    """One point of `agent.turns` since a second ago: 1 is delta, 2 is cumulative."""
    now = time.time_ns()
    point = {"asInt": str(value), "startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now)}
    total = {"aggregationTemporality": temporality, "isMonotonic": True, "dataPoints": [point]}
    metrics = [{"name": "agent.turns", "unit": "1", "sum": total}]
    batch = {"resource": resource(service_name="agent"), "scopeMetrics": [{"metrics": metrics}]}
    send(collector, "metrics", {"resourceMetrics": [batch]})


def test_delta_sums_are_dropped_and_counted(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """By default a delta sum is not sent on, and the collector says how many; a cumulative one beside it is."""
    with running(to_cloud):
        send_sum(to_cloud, 1, 3)
        send_sum(to_cloud, 2, 5)
        until("the cumulative sum", ARRIVAL, lambda: cloud.query("agent_turns_total == 5") or None)
        assert to_cloud.metric(FILTERED) == 1


def test_delta_sums_become_cumulative(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """With the experimental component they arrive as their sum."""
    (to_cloud.configuration / "delta_refused.alloy").unlink()
    shutil.copy(FILES / "delta_converted.alloy", to_cloud.configuration)
    assert to_cloud.validate().returncode != 0, "the default stability refuses it"
    to_cloud.stability = "--stability.level=experimental"
    with running(to_cloud):
        for value in (3, 4):
            send_sum(to_cloud, 1, value)
            until(
                f"a sum with {value}", ARRIVAL, lambda least=value: cloud.query(f"agent_turns_total >= {least}") or None
            )
        until("both", ARRIVAL, lambda: cloud.query("agent_turns_total == 7") or None)


def test_agent_logs_arrive_without_content(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """Ids, models and figures of an agent's event reach Loki; prompt, answer and tool input do not."""
    words = {name: secrets.token_hex(8) for name in ("prompt", "answer", "tool", "body", "session")}
    record: dict[str, Any] = {
        "timeUnixNano": str(time.time_ns()),
        "body": {"stringValue": f"claude_code.api_request {words['body']}"},
        "attributes": resource(
            event_name="api_request", prompt=words["prompt"], gen_ai_output_messages=words["answer"],
            tool_parameters=words["tool"], session_id=words["session"], input_tokens="12",
        )["attributes"],
    }  # fmt: skip
    batch = {"resource": resource(service_name="claude-code"), "scopeLogs": [{"logRecords": [record]}]}
    with running(to_cloud):
        send(to_cloud, "logs", {"resourceLogs": [batch]})
        lines = until("the event at Loki", ARRIVAL, lambda: cloud.lines(exporter="OTLP") or None)
    text = json.dumps([str(line) for line in lines])
    assert words["session"] in text
    assert [name for name in ("prompt", "answer", "tool", "body") if words[name] in text] == []


def test_nobody_pushes_what_alerts_are_made_of(to_cloud: Collector, cloud: CloudStandIn) -> None:
    """Any user may push: neither a budget nor a line of the journal can be forged, and what is beside them arrives."""
    text = secrets.token_hex(8)
    who = resource(service_name="journal", service_instance_id=to_cloud.instance)
    with running(to_cloud):
        # What is older than the start of Alloy is not sent.
        now = str(time.time_ns())
        gauges = [
            {"name": name, "gauge": {"dataPoints": [{"asInt": "7", "timeUnixNano": now}]}}
            for name in ("hypertool.persona.token.budget.remaining", "up", "node_filesystem_avail_bytes", "honest")
        ]
        record = {
            "timeUnixNano": now,
            "body": {"stringValue": text},
            "attributes": resource(unit="prometheus.service", loki_attribute_labels="unit")["attributes"],
        }
        send(to_cloud, "metrics", {"resourceMetrics": [{"resource": who, "scopeMetrics": [{"metrics": gauges}]}]})
        send(to_cloud, "logs", {"resourceLogs": [{"resource": who, "scopeLogs": [{"logRecords": [record]}]}]})
        until("the metric that is its sender's", ARRIVAL, lambda: cloud.query("honest == 7") or None)
        (line,) = until("the line", ARRIVAL, lambda: [one for one in cloud.lines() if text in one.text] or None)
    found = cloud.query('{job="journal", __name__!="target_info"}')
    assert [one["metric"]["__name__"] for one in found] == ["honest"]
    assert ("unit" in line.labels, line.labels["job"]) == (False, "pushed")
