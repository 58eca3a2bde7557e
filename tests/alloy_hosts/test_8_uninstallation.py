"""The other collector on the same hosts, and then nothing: what was not there before is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.alloy_hosts.conftest import Playing, last_proof
from tests.rules.runbook_blocks import pasteable
from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.fleet import Fleet, Play, differences, on_all
from tests.support.pasting import pasted

pytestmark = pytest.mark.host

DATA = ("/var/lib/alloy", "/var/lib/hypertool", "/var/lib/prometheus")


@pytest.fixture(scope="module")
def switched(fleet: Fleet, installed: Play, play: Playing) -> Play:
    return play("site.yml", hypertool_collector="prometheus", grafana_cloud_proof_timeout=90).succeeded()


def test_collector_prometheus_delivers_metrics_only(fleet: Fleet, cloud: CloudStandIn, switched: Play) -> None:
    """`collector=prometheus` delivers metrics, found by run id, and says that it delivers nothing else."""
    assert "metrics only" in " ".join(switched.output.split())
    for name in fleet.hosts:
        run = last_proof(cloud, name)
        assert time.time() - float(run) < 600, "the run id of an older play"
        for job in ("hypertool", "node", "prometheus"):
            up = f'up{{job="{job}",instance="{name}"}} == 1'
            until(f"{job} of {name}", 60, lambda up=up: cloud.query(up) or None)


def test_the_collector_before_it_is_stopped(fleet: Fleet, switched: Play) -> None:
    states = on_all(fleet.hosts, lambda host: host.run("systemctl is-active alloy; systemctl is-enabled alloy").stdout)
    assert set(states.values()) == {"inactive\ndisabled\n"}


def test_that_collectors_runbook_commands_work(fleet: Fleet, switched: Play) -> None:
    """Every command of the runbook for that collector works when it is pasted into a shell."""
    found = on_all(fleet.hosts, lambda host: pasted(host, pasteable("agent")))
    assert found == {name: [] for name in fleet.hosts}, "\n\n".join(line for lines in found.values() for line in lines)


@pytest.fixture(scope="module")
def uninstalled(fleet: Fleet, cloud: CloudStandIn, switched: Play, play: Playing) -> Iterator[Play]:
    """While the destination is silent: a collector would like to wait for it, and nothing of it may be left running."""
    cloud.fault("all", "black_hole")
    try:
        yield play("uninstall.yml").succeeded()
    finally:
        cloud.fault("all", None)


def test_uninstalling_leaves_only_data_and_says_so(
    fleet: Fleet, fresh: dict[str, dict[str, Any]], uninstalled: Play
) -> None:
    assert "stays in /var/lib/alloy" in " ".join(uninstalled.output.split())
    after = fleet.snapshots()
    for name in fleet.hosts:
        left = differences(fresh[name], after[name])
        assert [line for line in left if not line.startswith(tuple(f"+ files: {path}" for path in DATA))] == [], name
        assert any("/var/lib/alloy/data" in line for line in left), f"{name}: what was not sent is gone"


def test_uninstalling_with_purge_leaves_nothing_at_all(
    fleet: Fleet, fresh: dict[str, dict[str, Any]], uninstalled: Play, play: Playing
) -> None:
    play("uninstall.yml", hypertool_purge_data=True).succeeded()
    after = fleet.snapshots()
    left = {name: differences(fresh[name], after[name]) for name in fresh}
    assert left == {name: [] for name in fresh}, "\n".join(line for lines in left.values() for line in lines)
