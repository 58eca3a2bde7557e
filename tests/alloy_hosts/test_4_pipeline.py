"""With a real Alloy: every signal arrives by its run id, and what a rotation and a reboot in an outage cost."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.alloy_hosts.conftest import REAL, RELEASES, Playing, last_proof, main_pids
from tests.support.alloy_program import MISSING
from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.fleet import Fleet, Play, on_all

pytestmark = [pytest.mark.host, pytest.mark.skipif(not REAL, reason=MISSING)]


@pytest.fixture(scope="module")
def proven(installed: Play, play: Playing) -> Play:
    """A full play now, which ends by sending a sample, a span and a line from each host."""
    return play("site.yml", "-v").succeeded()


def samples(cloud: CloudStandIn, name: str, seconds: int = 600) -> list[float]:
    """When each scrape of the exporter arrived in the last seconds."""
    now = time.time()
    rows = cloud.query(
        f'timestamp(up{{job="hypertool",instance="{name}"}})', start=str(now - seconds), end=str(now), step="5"
    )
    return sorted({float(value) for row in rows for _, value in row["values"]})


def test_each_signal_of_each_host_arrives_by_run_id(cloud: CloudStandIn, proven: Play) -> None:
    """A sample, a span and a log line of each host arrive, found by their run id."""
    for name in RELEASES:
        run = last_proof(cloud, name)
        assert time.time() - float(run) < 600
        lines = [line for line in cloud.lines(instance=name) if run in line.text]
        assert [line.count for line in lines] == [1], lines
    hosts = {span.resource.get("host.name") for span in cloud.spans()}
    assert set(RELEASES) <= hosts


def test_host_collector_and_application_are_scraped(cloud: CloudStandIn, proven: Play) -> None:
    for name in RELEASES:
        for job in ("hypertool", "node", "alloy"):
            up = f'up{{job="{job}",instance="{name}"}} == 1'
            until(f"{job} of {name}", 60, lambda up=up: cloud.query(up) or None)


def test_token_is_rotated_mid_stream_without_refusal(
    fleet: Fleet, cloud: CloudStandIn, proven: Play, play: Playing
) -> None:
    """A token is rotated while data flows, and nothing is refused."""
    pids, refused = main_pids(fleet), cloud.requests("metrics")[401]
    cloud.tokens.add("glc_stand_in_rotated_0123456789abcd")
    play("site.yml", "--tags", "alloy", grafana_cloud_token="glc_stand_in_rotated_0123456789abcd").succeeded()
    cloud.tokens.discard(cloud.token)
    try:
        began = time.time()
        for name in RELEASES:
            until(f"samples of {name}", 60, lambda name=name: max(samples(cloud, name), default=0) > began + 15 or None)
        assert cloud.requests("metrics")[401] == refused
        assert main_pids(fleet) == pids
    finally:
        cloud.tokens.add(cloud.token)


def test_reboot_in_an_outage_loses_only_what_waited(fleet: Fleet, cloud: CloudStandIn, proven: Play) -> None:
    """A reboot in an outage loses the time of the outage before it, and no more.

    What was collected and not sent before a start is not sent after it; from the start on nothing is missing.
    """
    name = RELEASES[0]
    cloud.fault("all", "503")
    try:
        down = time.time()
        until("a backlog", 60, lambda: time.time() > down + 20 or None)
        fleet.box.run("restart", name)
        started = float(fleet.hosts[name].check_output("date +%s.%N"))
        until("some more of the outage", 60, lambda: time.time() > started + 20 or None)
    finally:
        cloud.fault("all", None)
    until(f"samples of {name}", 120, lambda: [t for t in samples(cloud, name) if t > started + 40] or None)
    seen = samples(cloud, name)
    gaps = [(a, b) for a, b in itertools.pairwise(seen) if b - a > 12 and b > down - 30]
    print(f"outage began {down:.0f}, up again {started:.0f}, gaps {gaps}")
    assert len(gaps) <= 1, gaps
    assert all(a <= down + 10 and b <= started + 30 for a, b in gaps), gaps
    on_all(fleet.hosts, lambda host: host.check_output("systemctl is-active alloy"))
