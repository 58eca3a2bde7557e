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
}
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
}
# What the runbook's investigations look at besides: metric, its own labels, first value, and growth per scrape.
STAGE = 'workflow="bug_fix",stage="investigation",persona="observability-expert"'
CALL = 'persona="data-scientist",model="m"'
MORE: list[tuple[str, str, float, float]] = [
    ("up", "", 1, 0),
    ("hypertool_build_info", 'version="1.0.0"', 1, 0),
    ("scrape_duration_seconds", "", 0.01, 0),
    ("hypertool_persona_token_budget_exceeded_total", 'persona="data-scientist"', 2, 0),
    ("hypertool_llm_requests_total", f'{CALL},outcome="error"', 0, 1),
    ("hypertool_llm_request_duration_seconds_bucket", f'{CALL},le="81.92"', 0, 3),
    ("hypertool_llm_request_duration_seconds_count", CALL, 0, 4),
    ("hypertool_workflow_stage_duration_seconds_sum", STAGE, 0, 40),
    ("hypertool_workflow_stage_duration_seconds_count", STAGE, 0, 1),
    ("hypertool_workflow_stage_duration_seconds_bucket", f'{STAGE},le="300.0"', 0, 1),
]


def host(alert: str) -> str:
    """The host on which the case of an alert takes place."""
    return f"host-{alert.lower()}"


def _case(alert: str, moment: Moment) -> Case:
    for case in all_cases():
        if case.scrape == WRITTEN_AT and case.name == f"{alert} {moment.case}":
            return case
    raise LookupError(f"no case named '{alert} {moment.case}': the table in {Path(__file__).name} is out of date")


def _past(alert: str, moment: Moment, now: float) -> list[str]:
    begin = now - moment.minute * 60
    lines: list[str] = []
    for series in _case(alert, moment).document["tests"][0]["input_series"]:
        name = re.sub(r",\s+", ",", series["series"]).replace("host-a", host(alert))
        for index, value in enumerate(series["values"].split()[: moment.minute * 60 // WRITTEN_AT + 1]):
            if value in ("_", "stale"):
                continue
            # Cases begin at the epoch; a point in time among their values moves with them.
            moved = float(value) + begin if "_timestamp_seconds{" in name and float(value) > 0 else float(value)
            lines.append(f"{name} {moved!r} {begin + index * WRITTEN_AT:.3f}")
    return lines


def backfill(promtool: Path, moments: dict[str, Moment], folder: Path, now: float) -> None:
    """Write the past of all hosts into `folder`/data, ready for a Prometheus to start on."""
    lines = [line for alert, moment in moments.items() for line in _past(alert, moment, now)]
    for metric, labels, start, step in MORE:
        name = f'{metric}{{job="hypertool",instance="host-more"{"," if labels else ""}{labels}}}'
        lines += [f"{name} {start + step * i} {now - 3600 + i * WRITTEN_AT:.3f}" for i in range(3600 // WRITTEN_AT)]
    source = folder / "past.om"
    source.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    made = run(promtool, "tsdb", "create-blocks-from", "openmetrics", source, folder / "data")
    if made.returncode != 0:
        raise RuntimeError(f"promtool could not backfill {source}: {made.stdout}{made.stderr}")
