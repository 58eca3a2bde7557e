"""A web page neither reads nor changes anything on loopback: Chromium, another origin, and a name that is rebound."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.support.browser import FORGED, PORTS, Attempts, check_page, hostile_pages, names_of_pages
from tests.support.fleet import Fleet, ask

pytestmark = [pytest.mark.host, pytest.mark.shared_host("S7", "S8")]


@pytest.fixture(scope="module")
def attacked(fleet: Fleet) -> Iterator[tuple[Host, dict[str, Attempts], str]]:
    """The installed host, what each page got, and the processes of the services before."""
    fleet.play("site.yml").succeeded()
    host = next(iter(fleet.hosts.values()))
    before = processes(host)
    # Port 12345 is Alloy's, and not part of this installation: tests/alloy_hosts/test_7_web_pages.py.
    with hostile_pages(host, PORTS) as found:
        yield host, found, before


def processes(host: Host) -> str:
    units = "prometheus prometheus-alertmanager hypertool-exporter hypertool-alert-log"
    return str(host.check_output(f"systemctl show {units} -p MainPID"))


@pytest.mark.parametrize("page", names_of_pages(PORTS))
def test_a_page_reads_nothing(attacked: tuple[Host, dict[str, Attempts], str], page: str) -> None:
    """Every attempt was made, and none of them had an answer with content of a service."""
    check_page(page, attacked[1][page])


def test_no_page_changed_anything(attacked: tuple[Host, dict[str, Attempts], str]) -> None:
    """The services run as before, and nothing that a page sent is in one of them."""
    host, _, before = attacked
    assert processes(host) == before
    assert json.loads(ask(host, "http://127.0.0.1:9093/api/v2/silences")) == []
    assert FORGED not in ask(host, "http://127.0.0.1:9093/api/v2/alerts")
    assert host.run(f"grep -r {shlex.quote(FORGED)} /var/lib/hypertool").stdout == ""
    assert FORGED not in host.check_output("journalctl --no-pager -b -u hypertool-alert-log")
