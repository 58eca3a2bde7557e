"""Every recording rule, by its evaluation group; a rule's name is derived from the labels that it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from .counting import KNOWN_COLLECTOR, LOSS_GAP, LOSS_WINDOW, Metric, recorded_count, recorded_loss

TARGET = ("job", "instance")
STAGE_COUNT = Metric("hypertool_workflow_stage_duration_seconds_count")
#: Prometheus 3 and client_python write 300.0, others 300.
STAGE_300 = Metric("hypertool_workflow_stage_duration_seconds_bucket", ('le=~"300|300.0"',))
STAGE = (*TARGET, "workflow", "stage", "persona")
COLLECTOR_STARTS = ("alloy_resources_process_start_time_seconds", "process_start_time_seconds")
#: LOSS_GAP in seconds.
NINE_HOURS = 32400


@dataclass(frozen=True)
class Record:
    """One recording rule."""

    name: str
    expr: str


def count(metric: Metric, window: str, *labels: str, called: str = "", respelt: str = "") -> Record:
    """The exact count of a metric's events in a window; `labels` are all labels of the metric."""
    name = called or metric.name.removesuffix("_total")
    return Record(f"{'_'.join(labels)}:{name}:increase{window}", recorded_count(metric, window, respelt=respelt))


def stage_300(window: str) -> Record:
    called = "hypertool_workflow_stage_duration_seconds_bucket300"
    return count(STAGE_300, window, *STAGE, "le", called=called, respelt="le")


def loss(metric: Metric, *labels: str) -> Record:
    """What a collector lost in the last five minutes, by `labels` in addition to job and instance."""
    kept = (*TARGET, *labels)
    name = f"{'_'.join(kept)}:{metric.name.removesuffix('_total')}:rise{LOSS_WINDOW}"
    return Record(name, recorded_loss(metric, *kept))


def known_collector() -> Record:
    seen = [f"last_over_time({start}[{LOSS_GAP}] offset {LOSS_WINDOW})" for start in COLLECTOR_STARTS]
    young = [f"{start} > time() - {NINE_HOURS}" for start in COLLECTOR_STARTS]
    arms = "\n  or ".join([*seen, *young])
    return Record(KNOWN_COLLECTOR, f"group by (job, instance) (\n  {arms}\n)")


def otlp(what: str, signals: tuple[str, ...], *labels: str) -> list[Record]:
    return [loss(Metric(f"otelcol_{what}_{signal}_total"), *labels) for signal in signals]


SIGNALS = ("spans", "metric_points", "log_records")
GATES = Metric("hypertool_workflow_quality_gate_total")
GATE = (*TARGET, "workflow", "stage", "result")

#: Group -> its records, in the order of evaluation.
RECORDS: dict[str, list[Record]] = {
    "hypertool_gates": [count(GATES, "5m", *GATE), count(GATES, "1h", *GATE)],
    "hypertool_stages": [
        count(STAGE_COUNT, "10m", *STAGE),
        count(STAGE_COUNT, "1h", *STAGE),
        stage_300("10m"),
        stage_300("1h"),
    ],
    "hypertool_personas": [
        count(Metric("hypertool_persona_switches_total"), "5m", *TARGET, "from_persona", "to_persona", "chatmode"),
        count(Metric("hypertool_persona_tokens_used_total"), "20m", *TARGET, "persona", "chatmode", "model"),
    ],
    "hypertool_exports": [count(Metric("hypertool_export_spans_total"), "20m", *TARGET, "sink", "outcome")],
    "hypertool_labels": [count(Metric("hypertool_label_overflow_total"), "1h", *TARGET, "label")],
    "hypertool_delivery": [
        known_collector(),
        loss(Metric("prometheus_remote_storage_samples_failed_total")),
        loss(Metric("loki_write_request_duration_seconds_count", ('status_code=~"401|403"',)), "status_code"),
        loss(Metric("loki_write_dropped_entries_total"), "reason"),
        # In this group and not with the rest of OTLP: CredentialRefused reads it, and must not wait for another group.
        *otlp("exporter_send_failed", ("spans",), "error_type"),
    ],
    "hypertool_otlp": [
        *otlp("exporter_send_failed", ("metric_points", "log_records"), "error_type"),
        *otlp("exporter_enqueue_failed", SIGNALS),
        *otlp("receiver_refused", SIGNALS),
    ],
}
