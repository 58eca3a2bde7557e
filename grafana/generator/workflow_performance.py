"""The dashboard "Hypertool Workflow Performance": the duration of stages, and whether their gates pass."""

from __future__ import annotations

from prometheus.generator.counting import TARGET, Metric, block, count_in, quantile, total, zero_in

from . import panels as p
from .dashboard import dashboard, query_variable
from .links import langfuse_link, link_to, outward_variables, traces_link
from .parameters import (
    FAILED_GATES,
    FAILED_GATES_FULL,
    FEWER_COLUMNS,
    GATE_SUCCESS,
    GREEN,
    LAST_HOUR,
    RATE_INTERVAL,
    RED,
    SECONDS,
    STAGE_SECONDS,
    TIME_COLUMNS,
    TOP,
    WHOLE,
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
            *outward_variables(),
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
    """The number of gates that closed in the window, for stages of the chosen personas.

    The gate counter has no persona label. Its series are kept if the chosen persona has run that stage. The second half
    of the match is true only for "All", whose pattern also matches an absent label: then no gate is omitted, not even
    that of a stage that died before it had a duration.
    """
    return block(
        f"{count_in(gates, window)}\n"
        f"and on ({TARGET}, workflow, stage) (\n"
        f"  last_over_time({STAGE_COUNT}[{window}]) or last_over_time({GATES.where(PERSONA)}[{window}])\n"
        ")"
    )


def stage_duration() -> p.Json:
    counted = count_in(STAGE_BUCKETS, "$__interval")
    small_p50 = {
        "matcher": {"id": "byRegexp", "options": "/ p50$/"},
        "properties": [
            {"id": "custom.pointSize", "value": 3},
            {"id": "custom.hideFrom", "value": {"legend": True, "tooltip": False, "viz": False}},
        ],
    }
    return p.points_over_time(
        "Workflow Stage Duration",
        "95 of 100 stages (p95, large points) and half of them (p50, small points) took at most so long; a point for "
        "each column of the graph in which a stage ended. Good: p95 below the first dashed line, 30 s; red from 60 s "
        "on. SlowWorkflowStage fires above 300 s. The figures are interpolated in buckets: with one or two "
        "runs in a column they say which bucket (up to 0.5, 1, 2.5, 5, 10, 30, 60 s, ...) and not the "
        "exact time.",
        targets=[
            p.over_time(quantile(0.5, counted, "workflow", "stage"), "{{workflow}} / {{stage}} p50", ref="A"),
            p.over_time(quantile(0.95, counted, "workflow", "stage"), "{{workflow}} / {{stage}} p95", ref="B"),
        ],
        grid=(0, 0, 14, 9),
        unit=SECONDS,
        no_value="No workflow stage ended in this time range",
        steps=STAGE_SECONDS,
        overrides=[small_p50],
        legend=["max", "lastNotNull"],
        interval=RATE_INTERVAL,
        maxDataPoints=FEWER_COLUMNS,
    )


def gate_success_rate() -> p.Json:
    def rate(*labels: str) -> str:
        passed = block(f"{gates_in(PASSED, '$__range')}\nor\n{zero_in(FAILED, '$__range')}")
        return f"{total(passed, *labels)} / ({total(gates_in(GATES, '$__range'), *labels)} > 0)"

    return p.stat(
        "Quality Gate Success Rate",
        "Share of quality gates that passed in this time range, overall and for each workflow that ran. "
        "Good: green, above 95 %. Red below 80 %, where HighQualityGateFailureRate looks at the stages." + OF_PERSONA,
        targets=[
            p.instant(rate(), "All workflows", ref="A"),
            p.instant(rate("workflow"), "{{workflow}}", ref="B"),
        ],
        grid=(14, 0, 10, 9),
        unit="percentunit",
        no_value="No quality gate closed in this time range",
        steps=GATE_SUCCESS,
        defaults={"min": 0, "max": 1, "decimals": 1},
    )


def failed_gates() -> p.Json:
    by = ("workflow", "stage")
    failures = total(gates_in(FAILED, LAST_HOUR), *by)
    every = total(gates_in(GATES, LAST_HOUR))
    named = f'label_replace(0 * ({every} > 0), "stage", "all stages", "", "")'
    none = f'label_replace({named}, "workflow", "none failed", "", "")'
    return p.horizontal_bars(
        "Failed Quality Gates",
        f"The {TOP} stages with the most failed gates of the last hour, whatever range the dashboard shows."
        ' Good: one green bar, "all stages", at 0. Yellow from 1, red above 5, where the bar is full.' + OF_PERSONA,
        targets=[
            p.instant(
                f"topk({TOP}, {failures} > 0)\nor\n({none} unless on () ({failures} > 0))",
                "{{stage}} ({{workflow}})",
            )
        ],
        grid=(0, 9, 9, 9),
        unit=WHOLE,
        no_value="No quality gate closed in the last hour",
        name="${__field.labels.stage} (${__field.labels.workflow})",
        steps=FAILED_GATES,
        defaults={
            "min": 0,
            "max": FAILED_GATES_FULL,
            "decimals": 0,
            "links": [
                traces_link("stage.name", "${__field.labels.stage}"),
                langfuse_link("${__field.labels.workflow}"),
            ],
        },
        timeFrom=LAST_HOUR,
    )


def slowest_stages() -> p.Json:
    by = ("workflow", "stage", "persona")
    buckets = count_in(STAGE_BUCKETS, "$__range")
    return p.table(
        "Slowest Workflow Stages",
        f"The {TOP} slowest stages of this time range by p95: 95 of 100 runs took at most so long. "
        "Good: green, below 30 s; red from 60 s on. The figure is interpolated in buckets: with one or two runs it "
        "says which bucket, not the exact time.",
        # A single query: two merged queries leave bare column headers when there is no data.
        targets=[p.instant(f"topk({TOP}, {quantile(0.95, buckets, *by)})", "", table=True)],
        grid=(9, 9, 15, 9),
        unit="none",
        no_value="No workflow stage ended in this time range",
        sort_by=("p95", "Workflow", "Stage"),
        steps=STAGE_SECONDS,
        colored={"unit": SECONDS, "decimals": 1, "color": {"mode": "thresholds"}},
        widths={"p95": 110, "Persona": 170},
        links={
            "Workflow": [langfuse_link("${__value.raw}"), traces_link("workflow.name", "${__value.raw}")],
            "Stage": [traces_link("stage.name", "${__value.raw}")],
            "Persona": [link_to("hypertool-llm-cost", "Cost and latency of this persona", persona="${__value.raw}")],
        },
        transformations=[
            p.organized({"workflow": "Workflow", "stage": "Stage", "persona": "Persona", "Value": "p95"}),
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "p95", "desc": True}]}},
        ],
    )


def execution_trends() -> p.Json:
    return p.bars_over_time(
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
        grid=(0, 18, 24, 9),
        unit=WHOLE,
        no_value="No quality gate closed in this time range",
        overrides=[p.colored_series("/ pass$/", GREEN), p.colored_series("/ fail$/", RED)],
        legend=["sum", "max"],
        interval=RATE_INTERVAL,
        maxDataPoints=TIME_COLUMNS,
    )
