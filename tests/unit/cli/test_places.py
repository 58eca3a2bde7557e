"""Addresses that the commands print lead to a page, on the Prometheus of each Debian release."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypertool.cli.places import Place, prometheus_pages
from tests.dashboards.prometheus import binaries
from tests.support import service
from tests.support.box import free_port
from tests.support.debian_binaries import PROMETHEUS_PACKAGES

WEB = Path(__file__).resolve().parents[3] / "prometheus" / "web"


def look(release: str, directory: Path, *flags: str) -> list[Place]:
    """What the commands would print for a real Prometheus of a release."""
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n")
    url = f"http://127.0.0.1:{free_port()}"
    with service.prometheus(
        binaries(release), config, directory / "data", url, directory / "log", f"--web.user-assets={WEB}", *flags
    ):
        return prometheus_pages(url + "/")


@pytest.mark.parametrize("release", sorted(PROMETHEUS_PACKAGES))
def test_printed_address_shows_a_page(release: str, tmp_path: Path) -> None:
    """Each release shows something for every place, where its own pages are missing the overview."""
    found = look(release, tmp_path)
    assert [place.what for place in found] == ["overview", "Prometheus", "alerts", "runbook"]
    assert {place.now for place in found} == {"shows a page"}, found


def test_nothing_listens(tmp_path: Path) -> None:
    assert {place.now for place in prometheus_pages(f"http://127.0.0.1:{free_port()}/")} == {"nobody listens there now"}
