"""The addresses of the collector that guides and scripts name show something in a real Alloy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.alloy.collector import Collector, running
from tests.alloy.test_program import LOCAL
from tests.support.addresses import OF_ALLOY

#: Path -> how it is asked for, and words of its content.
ASKED = {
    "/metrics": ("GET", "alloy_build_info{"),
    "/-/ready": ("GET", "Alloy is ready."),
    "/-/reload": ("POST", "config reloaded"),
    "/-/healthy": ("GET", "All Alloy components are healthy."),
    "/api/v0/component/prometheus.exporter.unix.host/metrics": ("GET", "node_filesystem_avail_bytes{"),
}


def test_every_named_address_shows_something(make_collector: Callable[..., Collector]) -> None:
    """Each path that a text may name is one that is opened here, and has content; the empty one is the page."""
    assert ASKED.keys() | {""} == OF_ALLOY
    collector = make_collector("local", LOCAL)
    with running(collector):
        shown = {path: collector.http(path, how) for path, (how, _) in ASKED.items()}
        status, page = collector.http("/")
    for path, (_, words) in ASKED.items():
        assert shown[path][0] == 200, path
        assert words in shown[path][1], f"{path}: {shown[path][1][:500]}"
    if status == 404:
        pytest.skip("this Alloy was built without its pages (build tag embedalloyui); its other addresses have content")
    assert "<title>Grafana Alloy" in page
