"""What Grafana Cloud bills for a host with the default pipeline, and how soon a run is seen there; needs an Alloy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.alloy.collector import Collector, running
from tests.support.billed_host import BILLED_AT_MOST, BILLED_BEFORE, exporter, run_workflow
from tests.support.box import until
from tests.support.cloud import CloudStandIn

#: What the playbook gives to Alloy for destination `grafana_cloud`.
DEFAULTS = {
    "HYPERTOOL_ALLOY_SCRAPE_INTERVAL": "60s",
    "HYPERTOOL_ALLOY_OWN_INTERVAL": "",
    "HYPERTOOL_ALLOY_MORE_METRICS": "",
}
SEEN_WITHIN = 90.0


def jobs(cloud: CloudStandIn) -> dict[str, int] | None:
    """The series of each job, once all three are there."""
    rows = cloud.query('count by (job) ({__name__=~".+", instance="test-host"})')
    found = {row["metric"]["job"]: int(row["value"][1]) for row in rows}
    return found if len(found) == 3 else None


@pytest.mark.timeout(400)
def test_default_bill_and_first_run(to_cloud: Collector, cloud: CloudStandIn, tmp_path: Path) -> None:
    """A point a minute of at most 1,000 series; a new run is at the destination within 90 s."""
    to_cloud.environment |= DEFAULTS
    with exporter(tmp_path / "host") as (host, address):
        (to_cloud.targets / "own.yml").write_text(
            f'- targets: ["{address}"]\n  labels: {{job: hypertool}}\n', encoding="utf-8"
        )
        with running(to_cloud):
            found = until("every job at the destination", 150, lambda: jobs(cloud))
            began = time.monotonic()
            run_workflow(host, "package_release")
            tokens = 'sum(hypertool_persona_tokens_used_total{chatmode="package-release"}) >= 2 * 2050'
            until("the run at the destination", SEEN_WITHIN, lambda: cloud.query(tokens) or None)
            seen = time.monotonic() - began
            points = until("two scrapes of each job", 150, lambda: _points(cloud))
            held = to_cloud.metric("prometheus_remote_write_wal_storage_active_series")
    print(
        f"series {found}, {held:.0f} active in Alloy, {points:.0f} points a minute; the run was seen after {seen:.0f} s"
    )
    assert 200 < held <= BILLED_AT_MOST
    assert points <= min(BILLED_AT_MOST, BILLED_BEFORE // 5)


def _points(cloud: CloudStandIn) -> float | None:
    """Points a minute: the series of each job, by the time between two samples of its `up`."""
    times = {
        row["metric"]["job"]: [moment for moment, _ in row["values"]]
        for row in cloud.query('up{instance="test-host"}[15m]')
    }
    if len(times) < 3 or any(len(moments) < 2 for moments in times.values()):
        return None
    series = jobs(cloud) or {}
    return sum(count * 60 / (times[job][-1] - times[job][-2]) for job, count in series.items())
