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
        "hypertool_label_overflow_total": ("label",),
        "hypertool_store_writers": (),
        "hypertool_store_last_fold_timestamp_seconds": (),
        "hypertool_store_quarantined_files": (),
        "hypertool_export_spans_total": ("sink", "outcome"),
        "hypertool_export_last_success_timestamp_seconds": ("sink",),
        # The collector's own, as Alloy and Prometheus serve them. A label that only one of them has is not listed,
        # except component_id, which a match may name.
        "alloy_build_info": ("version",),
        "alloy_config_hash": ("sha256",),
        "alloy_config_last_load_successful": (),
        "alloy_config_load_failures_total": (),
        "alloy_component_controller_running_components": ("health_type",),
        "alloy_resources_process_start_time_seconds": (),
        "alloy_resources_process_resident_memory_bytes": (),
        "prometheus_agent_active_series": (),
        "prometheus_build_info": ("version",),
        "prometheus_config_last_reload_successful": (),
        "process_start_time_seconds": (),
        "prometheus_remote_storage_highest_timestamp_in_seconds": ("component_id",),
        "prometheus_remote_storage_queue_highest_sent_timestamp_seconds": ("component_id", "url"),
        "prometheus_remote_storage_samples_failed_total": ("url",),
        "prometheus_remote_storage_samples_pending": ("url",),
        "prometheus_remote_storage_samples_retried_total": ("url",),
        "prometheus_remote_storage_samples_total": ("url",),
        "prometheus_remote_storage_shard_capacity": ("url",),
        "prometheus_remote_storage_shards": ("url",),
        "prometheus_remote_storage_shards_desired": ("url",),
        "prometheus_remote_storage_shards_max": ("url",),
        "loki_source_journal_target_lines_total": (),
        "loki_source_journal_target_parsing_errors_total": ("error",),
        "loki_write_batch_retries_total": ("host",),
        "loki_write_dropped_entries_total": ("host", "reason"),
        "loki_write_request_duration_seconds_count": ("host", "status_code"),
        "loki_write_sent_entries_total": ("host",),
        "otelcol_exporter_queue_capacity": ("exporter", "data_type"),
        "otelcol_exporter_queue_size": ("exporter", "data_type"),
        "otelcol_exporter_sent_spans_total": ("exporter",),
        **{
            f"otelcol_{what}_{signal}_total": labels
            for what, labels in (
                ("exporter_enqueue_failed", ("exporter",)),
                ("exporter_send_failed", ("exporter", "error_type")),
                ("receiver_accepted", ("receiver", "transport")),
                ("receiver_refused", ("receiver", "transport")),
            )
            for signal in ("spans", "metric_points", "log_records")
        },
        # Prometheus and Alertmanager on themselves, and node_exporter (or Alloy in its place) on the host.
        "prometheus_target_scrapes_sample_out_of_bounds_total": (),
        "prometheus_target_scrapes_sample_out_of_order_total": (),
        "prometheus_tsdb_out_of_bound_samples_total": (),
        "prometheus_tsdb_too_old_samples_total": (),
        "prometheus_tsdb_wal_writes_failed_total": (),
        "prometheus_tsdb_wal_truncations_failed_total": (),
        "prometheus_tsdb_wal_corruptions_total": (),
        "prometheus_tsdb_compactions_failed_total": (),
        "prometheus_tsdb_reloads_failures_total": (),
        "prometheus_tsdb_head_truncations_failed_total": (),
        "prometheus_rule_evaluation_failures_total": ("rule_group",),
        "prometheus_notifications_errors_total": ("alertmanager",),
        "alertmanager_notifications_failed_total": ("integration",),
        "node_boot_time_seconds": (),
        "node_timex_sync_status": (),
        "node_timex_maxerror_seconds": (),
        "node_timex_offset_seconds": (),
        **{
            f"node_filesystem_{what}": ("device", "fstype", "mountpoint")
            for what in ("avail_bytes", "size_bytes", "files", "files_free")
        },
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
    "CollectorDown": ("critical", "availability"),
    "ConfigurationRejected": ("warning", "pipeline"),
    "CollectorVersionsDiffer": ("info", "pipeline"),
    "SamplesRejected": ("warning", "pipeline"),
    "CredentialRefused": ("critical", "pipeline"),
    "LogEntriesDropped": ("warning", "pipeline"),
    "OtlpDataLost": ("warning", "pipeline"),
    "OtlpRefused": ("warning", "pipeline"),
    "DeliveryRetried": ("warning", "pipeline"),
    "DeliveryLagging": ("warning", "pipeline"),
    "BacklogGrowing": ("warning", "pipeline"),
    "OutageBudgetHalfUsed": ("critical", "pipeline"),
    "JournalSilent": ("warning", "pipeline"),
    "DiskAlmostFull": ("warning", "availability"),
    "HostClockWrong": ("warning", "pipeline"),
    "DuplicateInstance": ("warning", "pipeline"),
    "PrometheusStorageFailing": ("critical", "availability"),
    "RuleEvaluationFailing": ("warning", "availability"),
    "NotificationsFailing": ("critical", "availability"),
    "LabelLimitReached": ("warning", "observability"),
    "StoreFoldingStopped": ("warning", "observability"),
    "SnapshotQuarantined": ("warning", "observability"),
}
# Alerts on all hosts together: they name no instance.
OF_THE_FLEET = frozenset({"Watchdog", "CollectorVersionsDiffer"})
ANNOTATIONS = ("summary", "description", "action", "runbook_url", "dashboard_url")
# The slowest scrape that rules have to be right at, in seconds.
SLOWEST_SCRAPE = 60
