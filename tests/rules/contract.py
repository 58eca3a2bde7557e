"""What the rules and the runbook may use: the metrics that the project promises, with their labels."""

from __future__ import annotations

TARGET = frozenset({"job", "instance"})
METRICS: dict[str, frozenset[str]] = {
    name: TARGET | frozenset(labels)
    for name, labels in {
        "hypertool_persona_switches_total": ("from_persona", "to_persona", "chatmode"),
        "hypertool_persona_tokens_used_total": ("persona", "chatmode", "model"),
        "hypertool_persona_token_budget_remaining": ("persona",),
        "hypertool_persona_token_budget_limit": ("persona",),
        "hypertool_persona_token_budget_exceeded_total": ("persona",),
        "hypertool_workflow_stage_duration_seconds_bucket": ("workflow", "stage", "persona", "le"),
        "hypertool_workflow_stage_duration_seconds_count": ("workflow", "stage", "persona"),
        "hypertool_workflow_stage_duration_seconds_sum": ("workflow", "stage", "persona"),
        "hypertool_workflow_stage_oldest_start_timestamp_seconds": ("workflow", "stage"),
        "hypertool_workflow_quality_gate_total": ("workflow", "stage", "result"),
        "hypertool_build_info": ("version",),
        "hypertool_llm_requests_total": ("persona", "model", "outcome"),
        "hypertool_llm_request_duration_seconds_bucket": ("persona", "model", "le"),
        "hypertool_llm_request_duration_seconds_count": ("persona", "model"),
        "hypertool_export_spans_total": ("sink", "outcome"),
        "hypertool_export_last_success_timestamp_seconds": ("sink",),
        "up": (),
        "scrape_duration_seconds": (),
        "ALERTS": ("alertname", "alertstate"),
    }.items()
}
SEVERITIES = {
    "TokenBudgetExceeded": ("critical", "cost"),
    "HighQualityGateFailureRate": ("warning", "quality"),
    "ExcessivePersonaSwitching": ("warning", "performance"),
    "SlowWorkflowStage": ("warning", "performance"),
    "TokenBudgetDepletionPredicted": ("info", "cost"),
    "HypertoolMetricsNotReported": ("critical", "availability"),
    "LangfuseIntegrationFailing": ("warning", "observability"),
    "WorkflowStageStuck": ("warning", "performance"),
    "HypertoolScrapesUnreliable": ("warning", "availability"),
    "Watchdog": ("none", "availability"),
}
ANNOTATIONS = ("summary", "description", "action", "runbook_url", "dashboard_url")
# The slowest scrape that rules have to be right at, in seconds.
SLOWEST_SCRAPE = 60
