"""Two worlds made of the promtool cases: in one every alert has its reason, in the other every alert has a near miss.

Each alert's case becomes the past of a host of its own, shifted so that the chosen moment of the case is now, and is
backfilled into the storage of a real Prometheus that has our rules loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.rules.cases import WRITTEN_AT, Case, all_cases
from tests.rules.conftest import run
from tests.rules.contract import OF_THE_FLEET


@dataclass(frozen=True)
class Moment:
    """A case and the minute of it that is made the present."""

    case: str
    minute: int


FIRING = {
    "TokenBudgetExceeded": Moment("fires: overspent and still running", 60),
    "TokenBudgetDepletionPredicted": Moment("fires: true depletion, 50 k an hour", 110),
    "HighQualityGateFailureRate": Moment("fires: every gate fails, one per 10 min", 90),
    "ExcessivePersonaSwitching": Moment("fires: ping-pong of 20 switches a minute for 2 h", 30),
    "SlowWorkflowStage": Moment("fires: 2 of 20 runs slow in 10 min, boundary spelt 300", 15),
    "WorkflowStageStuck": Moment("fires: a stage hangs and never ends", 80),
    "HypertoolMetricsNotReported": Moment("fires: target down", 30),
    "HypertoolScrapesUnreliable": Moment("fires: every second scrape fails (per scrape)", 25),
    "LangfuseIntegrationFailing": Moment("fires: Langfuse dead, counter flat", 60),
    "CollectorDown": Moment("fires: killed, while something else still scrapes the endpoint", 30),
    "ConfigurationRejected": Moment("fires: it loads, and two components cannot be built", 20),
    "CollectorVersionsDiffer": Moment("fires: one host stays behind for more than 2 h", 140),
    "SamplesRejected": Moment("fires: one batch is refused, within three scrapes", 12),
    "CredentialRefused": Moment("fires: log lines are answered with 401", 14),
    "LogEntriesDropped": Moment("fires: lines that are too long", 12),
    "OtlpDataLost": Moment("fires: no room in the queue for metric points and log records", 12),
    "OtlpRefused": Moment("fires: short of memory, spans are not taken", 12),
    "DeliveryRetried": Moment("fires: samples are sent again for half an hour", 30),
    "DeliveryLagging": Moment("fires: the destination takes nothing", 30),
    "BacklogGrowing": Moment("fires: the queue in memory is full", 25),
    "OutageBudgetHalfUsed": Moment("fires: metrics wait for more than 4 h", 20),
    "JournalSilent": Moment("fires: not one line since the start", 20),
    "DiskAlmostFull": Moment("fires: 4 % of the space left", 20),
    "HostClockWrong": Moment("fires: no time synchronisation", 30),
    "DuplicateInstance": Moment("fires: two hosts send their collectors under one name (per scrape)", 20),
    "PrometheusStorageFailing": Moment("fires: the write-ahead log cannot be written", 20),
    "RuleEvaluationFailing": Moment("fires: a group of rules fails again and again", 22),
    "NotificationsFailing": Moment("fires: the web hook refuses notifications", 14),
    "LabelLimitReached": Moment("fires: a model beyond the limit, the series born with it", 20),
    "StoreFoldingStopped": Moment("fires: folding stops", 90),
    "SnapshotQuarantined": Moment("fires: two files are set aside", 20),
}
# What fires with it on the same host, because it is a part of the same fact.
COMPANIONS = {"OutageBudgetHalfUsed": "DeliveryLagging"}
HEALTHY = {
    "TokenBudgetExceeded": Moment("quiet: budget used up to exactly 0", 25),
    "TokenBudgetDepletionPredicted": Moment("quiet: burst to 20 k left, then idle", 80),
    "HighQualityGateFailureRate": Moment("quiet: one single failed run in 2 h", 50),
    "ExcessivePersonaSwitching": Moment("quiet: 29 switches in 5 min, series born with them", 12),
    "SlowWorkflowStage": Moment("quiet: 1 of 20 runs slow in 10 min", 15),
    "WorkflowStageStuck": Moment("quiet: a stage of 14 min", 18),
    "HypertoolMetricsNotReported": Moment("quiet: restart of the exporter, 90 s", 15),
    "HypertoolScrapesUnreliable": Moment("quiet: one scrape in ten fails (per scrape)", 25),
    "LangfuseIntegrationFailing": Moment("quiet: Langfuse healthy, batches every 5 min", 60),
    "CollectorDown": Moment("quiet: restart of 2 min", 20),
    "ConfigurationRejected": Moment("quiet: rejected, and rolled back within 2 min", 20),
    "CollectorVersionsDiffer": Moment("quiet: two hosts with one version", 20),
    "SamplesRejected": Moment("quiet: restart of the collector, counter reset", 12),
    "CredentialRefused": Moment("quiet: an outage in which all is retried", 12),
    "LogEntriesDropped": Moment("quiet: restart of the collector", 12),
    "OtlpDataLost": Moment("quiet: an old loss, and much is sent", 20),
    "OtlpRefused": Moment("quiet: restart of the collector", 12),
    "DeliveryRetried": Moment("quiet: a trouble of 2 min", 15),
    "DeliveryLagging": Moment("quiet: an outage of 4 min", 14),
    "BacklogGrowing": Moment("quiet: as many senders as allowed, a queue without senders yet", 20),
    "OutageBudgetHalfUsed": Moment("quiet: nothing waits", 20),
    "JournalSilent": Moment("quiet: a minute after the start", 20),
    "DiskAlmostFull": Moment("quiet: 10 % left for days", 20),
    "HostClockWrong": Moment("quiet: a host that synchronises minutes after its start", 15),
    "DuplicateInstance": Moment("quiet: a collector that is restarted twice", 20),
    "PrometheusStorageFailing": Moment("quiet: a restart after errors", 20),
    "RuleEvaluationFailing": Moment("quiet: one failure at a reload, and an old count", 20),
    "NotificationsFailing": Moment("quiet: a restart of Alertmanager", 14),
    "LabelLimitReached": Moment("quiet: an old overflow that this Prometheus sees for the first time", 90),
    "StoreFoldingStopped": Moment("quiet: folded every minute", 90),
    "SnapshotQuarantined": Moment("quiet: no file in quarantine", 20),
}
# What the runbook's investigations look at besides: metric, its own labels, first value, and growth per scrape.
STAGE = 'workflow="bug_fix",stage="investigation",persona="observability-expert"'
CALL = 'persona="data-scientist",model="m"'
MORE: list[tuple[str, str, float, float]] = [
    ("up", "", 1, 0),
    ("hypertool_build_info", 'version="1.0.0"', 1, 0),
    ("scrape_duration_seconds", "", 0.01, 0),
    ("hypertool_llm_requests_total", f'{CALL},outcome="error"', 0, 1),
    ("hypertool_store_writers", "", 3, 0),
    ("prometheus_target_scrapes_sample_out_of_bounds_total", "", 0, 0),
    ("hypertool_persona_token_budget_exceeded_total", 'persona="data-scientist"', 2, 0),
    ("hypertool_llm_request_duration_seconds_bucket", f'{CALL},le="81.92"', 0, 3),
    ("hypertool_llm_request_duration_seconds_count", CALL, 0, 4),
    ("hypertool_workflow_stage_duration_seconds_sum", STAGE, 0, 40),
    ("hypertool_workflow_stage_duration_seconds_count", STAGE, 0, 1),
    ("hypertool_workflow_stage_duration_seconds_bucket", f'{STAGE},le="300.0"', 0, 1),
]
# The same for the metrics of a collector about itself; its losses were in the past.
MORE_OF_ALLOY: list[tuple[str, str, float, float]] = [
    ("alloy_build_info", 'version="v1.18.1"', 1, 0),
    ("alloy_config_hash", 'sha256="ab"', 1, 0),
    ("alloy_config_load_failures_total", "", 0, 0),
    ("alloy_resources_process_resident_memory_bytes", "", 4e7, 0),
    ("prometheus_remote_storage_samples_failed_total", "", 0, 0),
    ("prometheus_remote_storage_samples_retried_total", "", 0, 0),
    ("prometheus_remote_storage_samples_total", "", 0, 40),
    ("loki_source_journal_target_parsing_errors_total", 'error="empty_labels"', 0, 3),
    *(
        (f"otelcol_{what}_{signal}_total", labels, 5, 0)
        for what, labels in (
            ("exporter_enqueue_failed", ""),
            ("exporter_send_failed", 'error_type="InvalidArgument"'),
            ("receiver_refused", ""),
        )
        for signal in ("spans", "metric_points", "log_records")
    ),
    ("otelcol_exporter_queue_capacity", 'data_type="traces"', 1e9, 0),
    ("otelcol_exporter_queue_size", 'data_type="traces"', 0, 0),
    ("otelcol_receiver_accepted_spans_total", "", 0, 20),
    ("loki_write_dropped_entries_total", 'reason="line_too_long"', 5, 0),
    ("loki_write_request_duration_seconds_count", 'status_code="401"', 5, 0),
]
MOVED = re.compile(r"_(?:timestamp|timestamp_in|process_start_time)_seconds\{")


def host(alert: str) -> str:
    """The host on which the case of an alert takes place; none for an alert on all of them together."""
    return "" if alert in OF_THE_FLEET else f"host-{alert.lower()}"


def _case(alert: str, moment: Moment) -> Case:
    for case in all_cases():
        if case.scrape == WRITTEN_AT and case.name == f"{alert} {moment.case}":
            return case
    raise LookupError(f"no case named '{alert} {moment.case}': the table in {Path(__file__).name} is out of date")


def _past(alert: str, moment: Moment, now: float) -> list[str]:
    begin = now - moment.minute * 60
    lines: list[str] = []
    for series in _case(alert, moment).document["tests"][0]["input_series"]:
        name = re.sub(r",\s+", ",", series["series"]).replace("host-a", f"host-{alert.lower()}")
        for index, value in enumerate(series["values"].split()[: moment.minute * 60 // WRITTEN_AT + 1]):
            if value in ("_", "stale"):
                continue
            # Cases begin at the epoch; a point in time among their values moves with them.
            moves = MOVED.search(name) and (float(value) > 0 or "process_start" in name)
            moved = float(value) + begin if moves else float(value)
            lines.append(f"{name} {moved!r} {begin + index * WRITTEN_AT:.3f}")
    return lines


def backfill(promtool: Path, moments: dict[str, Moment], folder: Path, now: float) -> None:
    """Write the past of all hosts into `folder`/data, ready for a Prometheus to start on."""
    lines = [line for alert, moment in moments.items() for line in _past(alert, moment, now)]
    for job, series in (("hypertool", MORE), ("alloy", MORE_OF_ALLOY)):
        for metric, labels, start, step in series:
            name = f'{metric}{{job="{job}",instance="host-more"{"," if labels else ""}{labels}}}'
            lines += [f"{name} {start + step * i} {now - 3600 + i * WRITTEN_AT:.3f}" for i in range(3600 // WRITTEN_AT)]
    source = folder / "past.om"
    source.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    made = run(promtool, "tsdb", "create-blocks-from", "openmetrics", source, folder / "data")
    if made.returncode != 0:
        raise RuntimeError(f"promtool could not backfill {source}: {made.stdout}{made.stderr}")
