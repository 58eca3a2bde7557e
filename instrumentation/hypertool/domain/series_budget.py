"""The series budget: how many series each metric can have at most on one host, from the declared label sets."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..runtime.light_typing import NamedTuple
from .instruments import (
    AGENT_SOURCES,
    AGENT_UNRECOGNISED,
    AGENT_UNRECOGNISED_REASONS,
    AGENTS,
    ALL,
    BUDGET_REMAINING,
    EXPORT_OUTCOMES,
    GATE_RESULTS,
    LLM_OUTCOMES,
    OLDEST_START,
    SINKS,
    TOKEN_KINDS,
    USAGE_MISSING_REASONS,
    Instrument,
)
from .labels import LABELS, MAX_OTHERS, declared
from .personas import Catalogue
from .workflows import WORKFLOWS, Workflow


class SeriesBudget(NamedTuple):
    """One metric: its series at the start, and its maximum on one host."""

    name: str
    from_start: int
    at_most: int


def values_at_most(label: str, personas: int, workflows: Mapping[str, Workflow] = WORKFLOWS) -> int:
    """The maximum number of values of a label: the declared ones, 64 others where admitted, and `other`."""
    closed = {
        "persona": personas + 1,  # `unknown`
        "from_persona": personas + 1,  # `none`
        "to_persona": personas,
        "result": len(GATE_RESULTS),
        "outcome": max(len(EXPORT_OUTCOMES), len(LLM_OUTCOMES)),
        "reason": len(USAGE_MISSING_REASONS),
        "agent": len(AGENTS) + 1,  # `other`, of the gateway
        "source": len(AGENT_SOURCES),
        "kind": len(TOKEN_KINDS),
        "sink": len(SINKS),
        "label": len(LABELS),
        "version": 1,
        "python_version": 1,
    }
    if label in closed:
        return closed[label]
    return len(list(declared(label, workflows))) + MAX_OTHERS + 1


def _values(instrument: Instrument, label: str, personas: int, workflows: Mapping[str, Workflow]) -> int:
    if instrument is AGENT_UNRECOGNISED and label == "reason":
        return len(AGENT_UNRECOGNISED_REASONS)
    return values_at_most(label, personas, workflows)


def series_per_child(instrument: Instrument) -> int:
    """Series per label set: one for each bucket, +Inf, sum and count of a histogram; otherwise one."""
    return len(instrument.buckets) + 3 if instrument.type == "histogram" else 1


def budget(catalogue: Catalogue) -> list[SeriesBudget]:
    """The worst case of every metric, largest first."""
    personas = len(catalogue.personas)
    stages = sum(len(workflow.stages) for workflow in catalogue.workflows.values())
    start = {
        "hypertool_workflow_stage_duration_seconds": stages,
        "hypertool_workflow_quality_gate_total": 2 * stages,
        OLDEST_START.name: stages,
        BUDGET_REMAINING.name: personas,
        "hypertool_persona_token_budget_limit": personas,
        "hypertool_persona_token_budget_exceeded_total": personas,
        "hypertool_label_overflow_total": len(LABELS),
        "hypertool_agent_sessions_active": len(AGENTS),
        "hypertool_build_info": 1,
        "hypertool_store_unreadable_files": 1,
        "hypertool_store_quarantined_files": 1,
        "hypertool_store_last_fold_timestamp_seconds": 1,
        "hypertool_store_writers": 1,
        "hypertool_store_folded_processes_total": 1,
    }
    found = [
        SeriesBudget(
            i.name,
            start.get(i.name, 0) * series_per_child(i),
            prod(_values(i, label, personas, catalogue.workflows) for label in i.labels) * series_per_child(i),
        )
        for i in ALL
    ]
    return sorted(found, key=lambda metric: -metric.at_most)
