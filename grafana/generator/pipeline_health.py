"""The dashboard "Hypertool Pipeline Health": which alerts fire, and whether all measurements arrive."""

from __future__ import annotations

from prometheus.generator.counting import Metric, block, count_in, total

from . import panels as p
from .dashboard import FIRING, dashboard
from .links import link_to
from .parameters import (
    DISK_FREE,
    FEWER_COLUMNS,
    GREEN,
    LAG_SECONDS,
    MANY,
    NEUTRAL,
    NONE_IS_GOOD,
    RATE_INTERVAL,
    RED,
    SECONDS,
    TOP,
    WHOLE,
    WORKFLOW_REFRESH,
    YELLOW,
)

HOSTS = 'instance=~"$instance"'
SPANS = Metric("hypertool_export_spans_total", (HOSTS,))
LAST_SUCCESS = Metric("hypertool_export_last_success_timestamp_seconds", (HOSTS,))
OVERFLOW = Metric("hypertool_label_overflow_total", (HOSTS,))
#: The filesystems that the alert DiskAlmostFull watches.
DISKS = (HOSTS, 'mountpoint=~"/|/var(/lib(/(hypertool|prometheus|alloy|grafana).*)?)?"')
#: What the alerts on losses count, by its name in the legend.
LOSSES = {
    "samples": "job_instance:prometheus_remote_storage_samples_failed:rise5m",
    "log lines": "job_instance_reason:loki_write_dropped_entries:rise5m",
    "spans": "job_instance_error_type:otelcol_exporter_send_failed_spans:rise5m",
}


def build() -> p.Json:
    return dashboard(
        "hypertool-pipeline-health",
        "Hypertool Pipeline Health",
        "Which alerts fire, and whether everything that is measured arrives.",
        refresh=WORKFLOW_REFRESH,
        variables=[],
        panels=[
            firing_alerts(),
            endpoints(),
            last_export(),
            spans(),
            losses(),
            delay(),
            waiting(),
            store(),
            overflow(),
            disks(),
        ],
    )


def firing_alerts() -> p.Json:
    columns = {
        "alertname": "Alert",
        "severity": "Severity",
        "instance": "Host",
        "persona": "Persona",
        "workflow": "Workflow",
        "stage": "Stage",
    }
    firing = Metric("ALERTS", (*FIRING, 'instance=~"$instance|"'))
    runbook = {
        "title": "Runbook (of the host's own Prometheus)",
        "url": "http://localhost:9090/user/runbook.html#${__value.raw}",
        "targetBlank": True,
    }
    return p.table(
        "Firing Alerts",
        "The alerts of hypertool that fire now. Good: an empty table. The runbook has a section for each. Where no "
        "rules of hypertool are evaluated, the table is always empty.",
        targets=[p.instant(f"max by ({', '.join(columns)}) ({firing})", "", table=True)],
        grid=(0, 0, 24, 7),
        unit="none",
        no_value="No alert of hypertool fires",
        sort_by=("Severity", "Alert", "Host"),
        widths={"Alert": 250, "Severity": 100},
        links={
            "Alert": [runbook],
            "Workflow": [
                link_to("hypertool-workflow-performance", "Stages of this workflow", workflow="${__value.raw}")
            ],
            "Persona": [link_to("hypertool-persona-overview", "Budget of the personas")],
        },
        transformations=[p.organized(columns, "Value")],
    )


def endpoints() -> p.Json:
    answers = {
        "type": "value",
        "options": {"0": {"text": "down", "color": RED, "index": 1}, "1": {"text": "up", "color": GREEN, "index": 2}},
    }
    made = p.stat(
        "Endpoints",
        "Whether the last scrape of each host's hypertool endpoint worked. Good: up, for every host. A host that is "
        "missing here sends nothing at all.",
        targets=[p.instant(f'min by (instance) (up{{job="hypertool", {HOSTS}}})', "{{instance}}")],
        grid=(0, 7, 12, 5),
        unit="none",
        no_value="No hypertool endpoint is scraped",
        steps=((None, GREEN),),
        defaults={"displayName": "${__field.labels.instance}"},
    )
    made["fieldConfig"]["defaults"]["mappings"].append(answers)
    return made


def last_export() -> p.Json:
    return p.stat(
        "Last Export",
        "When a configured sink (Langfuse, OTLP) last took spans. Good: as recent as the last run. Sinks that have "
        "never taken anything are not shown.",
        targets=[p.instant(f"1000 * max by (sink) ({LAST_SUCCESS} > 0)", "{{sink}}")],
        grid=(12, 7, 12, 5),
        unit="dateTimeFromNow",
        no_value="No sink has taken anything yet",
        steps=NEUTRAL,
        filled=False,
        defaults={"displayName": "${__field.labels.sink}"},
    )


def spans() -> p.Json:
    counted = total(count_in(SPANS, "$__interval"), "sink", "outcome")
    return p.bars_over_time(
        "Spans by Sink and Outcome",
        "Spans handed to each configured sink: success (green), failure (red, refused for good), dropped (yellow, "
        "never sent). Good: green only, after each run.",
        targets=[p.over_time(f"{counted} > 0", "{{sink}} {{outcome}}")],
        grid=(0, 12, 12, 9),
        unit=WHOLE,
        no_value="No spans were handed to a sink in this time range",
        overrides=[
            p.colored_series("/ success$/", GREEN),
            p.colored_series("/ failure$/", RED),
            p.colored_series("/ dropped$/", YELLOW),
        ],
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def losses() -> p.Json:
    arms = [
        f'label_replace(sum by (instance) ({Metric(record, (HOSTS,))}), "what", "{what}", "", "")'
        for what, record in LOSSES.items()
    ]
    alternatives = "\nor\n".join(arms)
    return p.bars_over_time(
        "Losses of the Collector",
        "Samples, log lines and spans that the collector lost in the five minutes before each bar, as its alerts count "
        "them. Good: nothing. Where our rules are not evaluated, it stays empty.",
        targets=[p.over_time(f"{block(alternatives)} > 0", "{{instance}} {{what}}")],
        grid=(12, 12, 12, 9),
        unit=WHOLE,
        no_value="No losses in this time range",
        legend=["max", "lastNotNull"],
        interval="5m",
        maxDataPoints=FEWER_COLUMNS,
    )


def delay() -> p.Json:
    taken = Metric("prometheus_remote_storage_highest_timestamp_in_seconds", (HOSTS,))
    sent = Metric("prometheus_remote_storage_queue_highest_sent_timestamp_seconds", (HOSTS,))
    behind = f"{taken} - on (job, instance, component_id) group_right () ({sent} > 0)"
    return p.timeseries(
        "Delay of Metrics",
        "How many seconds what was sent is behind what the collector took in. Good: below the first dashed line, 60 s; "
        "DeliveryLagging fires above 300 s.",
        targets=[p.over_time(f"max by (instance) ({behind})", "{{instance}}")],
        grid=(0, 21, 12, 9),
        unit=SECONDS,
        no_value="No collector sends metrics to another place",
        steps=LAG_SECONDS,
        style={"thresholdsStyle": {"mode": "dashed"}},
        legend=["max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def waiting() -> p.Json:
    pending = Metric("prometheus_remote_storage_samples_pending", (HOSTS,))
    queued = Metric("otelcol_exporter_queue_size", (HOSTS,))
    return p.timeseries(
        "Waiting to Be Sent",
        "Samples, and batches of OTLP, that wait in the collector. Good: it falls back again and again. A line that "
        "only climbs is an outage of the destination.",
        targets=[
            p.over_time(f"sum by (instance) ({pending})", "{{instance}} samples", ref="A"),
            p.over_time(f"sum by (instance) ({queued})", "{{instance}} OTLP", ref="B"),
        ],
        grid=(12, 21, 12, 9),
        unit=WHOLE,
        no_value="No collector sends to another place",
        style={},
        legend=["max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def store() -> p.Json:
    unreadable = Metric("hypertool_store_unreadable_files", (HOSTS,))
    quarantined = Metric("hypertool_store_quarantined_files", (HOSTS,))
    return p.stat(
        "Files of the Store",
        "Files of the exporter's store that cannot be read, and files that it set aside because what they say is "
        "impossible. Good: 0 of both, on every host.",
        targets=[
            p.instant(f"sum({unreadable})", "unreadable", ref="A"),
            p.instant(f"sum({quarantined})", "in quarantine", ref="B"),
        ],
        grid=(0, 30, 6, 8),
        unit=WHOLE,
        no_value="No exporter reports its store",
        steps=NONE_IS_GOOD,
        defaults={"decimals": 0},
    )


def overflow() -> p.Json:
    beyond = total(count_in(OVERFLOW, "$__range"), "label")
    return p.horizontal_bars(
        "Values Beyond the Label Limit",
        "Recordings of this time range whose label value became `other`, by label. Good: none. Otherwise see "
        "LabelLimitReached in the runbook.",
        targets=[p.instant(f"topk({TOP}, {beyond} > 0)", "{{label}}")],
        grid=(6, 30, 8, 8),
        unit=WHOLE,
        no_value="No label has reached its limit",
        name="${__field.labels.label}",
        steps=NONE_IS_GOOD,
        defaults={"min": 0, "max": MANY, "decimals": 0},
    )


def disks() -> p.Json:
    free, size = Metric("node_filesystem_avail_bytes", DISKS), Metric("node_filesystem_size_bytes", DISKS)
    return p.horizontal_bars(
        "Free Disk Space",
        "Share of free space on the filesystems that hold data of the stack. Good: green, above 15 %. DiskAlmostFull "
        "fires below 5 %, or below 15 % when it fills up.",
        targets=[p.instant(f"min by (instance, mountpoint) ({free} / {size})", "{{instance}} {{mountpoint}}")],
        grid=(14, 30, 10, 8),
        unit="percentunit",
        no_value="No host reports its disks",
        name="${__field.labels.instance} ${__field.labels.mountpoint}",
        steps=DISK_FREE,
        defaults={"min": 0, "max": 1, "decimals": 0},
    )
