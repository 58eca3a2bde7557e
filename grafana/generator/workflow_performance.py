"""The dashboard "Hypertool Workflow Performance": how long stages take and whether their gates pass."""

from __future__ import annotations

from prometheus.generator.counting import TARGET, Metric, block, count_in, quantile, total

from . import panels as p
from .dashboard import dashboard, query_variable
from .parameters import (
    FAILED_GATES,
    GATE_SUCCESS,
    GREEN,
    LAST_HOUR,
    RATE_INTERVAL,
    RED,
    STAGE_SECONDS,
    TIME_COLUMNS,
    TOP,
    WORKFLOW_REFRESH,
)

SCOPE = ('instance=~"$instance"', 'workflow=~"$workflow"')
PERSONA = 'persona=~"$persona"'
STAGE_BUCKETS = Metric("hypertool_workflow_stage_duration_seconds_bucket", (*SCOPE, PERSONA))
STAGE_COUNT = Metric("hypertool_workflow_stage_duration_seconds_count", (*SCOPE, PERSONA))
GATES = Metric("hypertool_workflow_quality_gate_total", SCOPE)
PASSED = GATES.where('result="pass"')
FAILED = GATES.where('result="fail"')
OF_PERSONA = " Gates carry no persona: with a persona chosen, these are the gates of the stages that it has done."


def build() -> p.Json:
    return dashboard(
        "hypertool-workflow-performance",
        "Hypertool Workflow Performance",
        "How long the stages of the workflows take, and whether their quality gates pass.",
        refresh=WORKFLOW_REFRESH,
        variables=[
            query_variable(
                "workflow",
                "Workflow",
                f"label_values({GATES.name}{{{SCOPE[0]}}}, workflow)",
                "The workflows that are shown.",
            ),
            query_variable(
                "persona",
                "Persona",
                f"label_values({STAGE_COUNT.name}{{{', '.join(SCOPE)}}}, persona)",
                "The personas whose stages are shown.",
            ),
        ],
        panels=[
            stage_duration(),
            gate_success_rate(),
            failed_gates(),
            slowest_stages(),
            execution_trends(),
        ],
    )


def gates_in(gates: Metric, window: str) -> str:
    """How many gates closed in the window, of the chosen personas' stages.

    The gate counter has no persona. Its series are kept where the chosen persona has done that stage. The
    second half of the match is true only for "All", which as a pattern matches the absent label too: then
    nothing is lost, not even the gate of a stage that died before it had a duration.
    """
    return block(
        f"{count_in(gates, window)}\n"
        f"and on ({TARGET}, workflow, stage) (\n"
        f"  last_over_time({STAGE_COUNT}[{window}]) or last_over_time({GATES.where(PERSONA)}[{window}])\n"
        ")"
    )


def stage_duration() -> p.Json:
    counted = count_in(STAGE_BUCKETS, "$__interval")
    return p.timeseries(
        "Workflow Stage Duration",
        "Half of the stages (p50) and 95 of 100 (p95) took at most so long; one point for each column of "
        "the graph in which a stage ended. Good: p95 in the green, below 30 s; red from 60 s on. "
        "SlowWorkflowStage fires above 300 s. The figures are interpolated in buckets: with one or two "
        "runs in a column they say which bucket (up to 0.5, 1, 2.5, 5, 10, 30, 60 s, ...) and not the "
        "exact time.",
        targets=[
            p.over_time(quantile(0.5, counted, "workflow", "stage"), "p50 {{workflow}} / {{stage}}", ref="A"),
            p.over_time(quantile(0.95, counted, "workflow", "stage"), "p95 {{workflow}} / {{stage}}", ref="B"),
        ],
        grid=(0, 0, 14, 10),
        unit="s",
        no_value="No workflow stage ended in this time range",
        steps=STAGE_SECONDS,
        style={"showPoints": "always", "spanNulls": True, "thresholdsStyle": {"mode": "area"}},
        legend=["mean", "max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=TIME_COLUMNS,
    )


def gate_success_rate() -> p.Json:
    def rate(*labels: str) -> str:
        passed = block(f"{gates_in(PASSED, '$__range')}\nor\n0 * {gates_in(FAILED, '$__range')}")
        return f"{total(passed, *labels)} / ({total(gates_in(GATES, '$__range'), *labels)} > 0)"

    return p.stat(
        "Quality Gate Success Rate",
        "Share of quality gates that passed in this time range, overall and for each workflow that ran. "
        "Good: green, above 95 %. Red below 80 %, where HighQualityGateFailureRate looks at the stages." + OF_PERSONA,
        targets=[
            p.instant(rate(), "All workflows", ref="A"),
            p.instant(rate("workflow"), "{{workflow}}", ref="B"),
        ],
        grid=(14, 0, 10, 10),
        unit="percentunit",
        no_value="No quality gate closed in this time range",
        steps=GATE_SUCCESS,
        defaults={"min": 0, "max": 1, "decimals": 1},
    )


def failed_gates() -> p.Json:
    by = ("workflow", "stage")
    failures = block(f"{gates_in(FAILED, LAST_HOUR)}\nor\n0 * {gates_in(PASSED, LAST_HOUR)}")
    return p.horizontal_bars(
        "Failed Quality Gates",
        f"The {TOP} stages with the most failed gates of the last hour, whatever range the dashboard shows."
        " Good: every bar green, at 0. Yellow from 1, red above 5. A stage without a run in that hour has "
        "no bar." + OF_PERSONA,
        targets=[
            p.instant(
                f"topk({TOP}, {total(failures, *by)}\nand {total(gates_in(GATES, LAST_HOUR), *by)} > 0)",
                "{{workflow}} / {{stage}}",
            )
        ],
        grid=(0, 10, 10, 10),
        unit="short",
        no_value="No quality gate closed in the last hour",
        steps=FAILED_GATES,
        defaults={"min": 0, "decimals": 0},
        timeFrom=LAST_HOUR,
    )


def slowest_stages() -> p.Json:
    by = ("workflow", "stage", "persona")
    buckets = count_in(STAGE_BUCKETS, "$__range")
    runs = total(count_in(STAGE_COUNT, "$__range"), *by)
    return p.table(
        "Slowest Workflow Stages",
        f"The {TOP} slowest stages of this time range by p95: 95 of 100 runs took at most so long. "
        "Good: green, below 30 s; red from 60 s on. Look at the number of runs as well: the figure is "
        "interpolated in buckets, and with one or two runs it says which bucket, not the exact time.",
        targets=[
            p.instant(f"topk({TOP}, {quantile(0.95, buckets, *by)})", "", ref="A", table=True),
            p.instant(f"{runs} > 0", "", ref="B", table=True),
        ],
        grid=(10, 10, 14, 10),
        unit="none",
        no_value="No workflow stage ended in this time range",
        sort_by="p95",
        steps=STAGE_SECONDS,
        colored={"unit": "s", "color": {"mode": "thresholds"}},
        transformations=[
            {"id": "merge", "options": {}},
            # The runs come for every stage, the p95 for the slowest only.
            {
                "id": "filterByValue",
                "options": {
                    "type": "exclude",
                    "match": "any",
                    "filters": [{"fieldName": "Value #A", "config": {"id": "isNull", "options": {}}}],
                },
            },
            p.organized(
                {
                    "workflow": "Workflow",
                    "stage": "Stage",
                    "persona": "Persona",
                    "Value #A": "p95",
                    "Value #B": "Runs",
                }
            ),
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "p95", "desc": True}]}},
        ],
    )


def execution_trends() -> p.Json:
    def colored(result: str, color: str) -> p.Json:
        return {
            "matcher": {"id": "byRegexp", "options": f"/ {result}$/"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }

    return p.timeseries(
        "Workflow Execution Trends",
        "Quality gates that closed, by workflow: passed (green) and failed (red), stacked. The legend has "
        "the sums of the time range. Good: green only, at the rhythm in which you start workflows. "
        "A run shows as soon as its column of the graph is complete." + OF_PERSONA,
        targets=[
            p.over_time(
                f"{total(gates_in(GATES, '$__interval'), 'workflow', 'result')} > 0",
                "{{workflow}} {{result}}",
            )
        ],
        grid=(0, 20, 24, 9),
        unit="short",
        no_value="No quality gate closed in this time range",
        style={
            "drawStyle": "bars",
            "fillOpacity": 80,
            "lineWidth": 0,
            "showPoints": "never",
            # A column counts what happened up to its time.
            "barAlignment": -1,
            "stacking": {"mode": "normal", "group": "A"},
        },
        overrides=[colored("pass", GREEN), colored("fail", RED)],
        legend=["sum", "max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=TIME_COLUMNS,
    )
