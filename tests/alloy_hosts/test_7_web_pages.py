"""A web page reads and changes nothing of any service of a host with the real Alloy, port 12345 included."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import REAL, RELEASES, Playing
from tests.support.alloy_program import MISSING
from tests.support.browser import FORGED, PORTS, Attempts, check_page, hostile_pages, names_of_pages
from tests.support.fleet import Fleet, Play, ask

pytestmark = [
    pytest.mark.host,
    pytest.mark.shared_host("S7", "S8"),
    pytest.mark.skipif(not REAL, reason=MISSING),
]
ALL = (*PORTS, 12345)


@pytest.fixture(scope="module")
def attacked(fleet: Fleet, installed: Play, play: Playing) -> Iterator[tuple[Host, dict[str, Attempts], str]]:
    """A host with every service, what each page got there, and what the services were before."""
    play("site.yml", hypertool_destination="local").succeeded()
    host = fleet.hosts[RELEASES[1]]
    before = state(host)
    with hostile_pages(host, ALL) as found:
        yield host, found, before


def state(host: Host) -> str:
    """The processes, and how often Alloy has loaded its configuration."""
    units = "prometheus prometheus-alertmanager hypertool-exporter hypertool-alert-log alloy"
    loads = [
        line
        for line in ask(host, "http://127.0.0.1:12345/metrics").splitlines()
        if line.startswith("alloy_config_last_load_success_timestamp_seconds")
    ]
    assert len(loads) == 1, "Alloy has to say when it loaded its configuration"
    return str(host.check_output(f"systemctl show {units} -p MainPID")) + loads[0]


@pytest.mark.parametrize("page", names_of_pages(ALL))
def test_a_page_reads_nothing(attacked: tuple[Host, dict[str, Attempts], str], page: str) -> None:
    """Every attempt was made, and none of them had an answer with content of a service."""
    check_page(page, attacked[1][page])


def test_no_page_changed_anything(attacked: tuple[Host, dict[str, Attempts], str]) -> None:
    """The services run on, Alloy did not reload, and nothing that a page sent is in one of them."""
    host, _, before = attacked
    assert state(host) == before
    assert json.loads(ask(host, "http://127.0.0.1:9093/api/v2/silences")) == []
    assert FORGED not in ask(host, "http://127.0.0.1:9093/api/v2/alerts")
    assert FORGED not in host.check_output("journalctl --no-pager -b -u hypertool-alert-log")
