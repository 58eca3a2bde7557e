"""Collector alloy with destination local: the same pipeline into the Prometheus of the host itself."""

from __future__ import annotations

import pytest

from tests.alloy_hosts.conftest import REAL, RELEASES, Playing, main_pids
from tests.support.alloy_program import MISSING
from tests.support.box import until
from tests.support.fleet import Fleet, Play, on_all, value

pytestmark = [pytest.mark.host, pytest.mark.skipif(not REAL, reason=MISSING)]


@pytest.fixture(scope="module")
def local(installed: Play, play: Playing) -> Play:
    return play("site.yml", hypertool_destination="local").succeeded()


def test_alloy_fills_the_local_prometheus_once(fleet: Fleet, local: Play) -> None:
    on_all(fleet.hosts, lambda host: host.check_output("hypertool baseline"))
    expected = [f'count(up{{job="{job}"}} == 1) == 1' for job in ("hypertool", "node", "alloy")]
    expected.append('sum(hypertool_persona_tokens_used_total{persona="backend-engineer"}) >= 850')
    for name in RELEASES:
        for fact in expected:
            until(f"{fact} on {name}", 60, lambda host=fleet.hosts[name], fact=fact: value(host, fact))


def test_a_second_play_changes_and_restarts_nothing(fleet: Fleet, local: Play, play: Playing) -> None:
    before = main_pids(fleet)
    again = play("site.yml", hypertool_destination="local").succeeded()
    assert {name: again.changed(name) for name in RELEASES} == {name: [] for name in RELEASES}
    assert main_pids(fleet) == before
