"""Alloy's own pages ask a local user for the password, and its scrapes of itself bring it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.alloy.collector import PASSWORD, ROOT, Collector, running
from tests.support.box import until

NOWHERE = {"HYPERTOOL_ALLOY_METRICS_URL": "http://127.0.0.1:9/api/v1/write"}
PAGES = (
    "/",
    "/-/ready",
    "/-/healthy",
    "/-/reload",
    "/-/support",
    "/metrics",
    "/graph",
    "/api/v0/web/components",
    "/api/v0/web/components/prometheus.remote_write.destination",
    "/api/v0/component/prometheus.exporter.self.alloy/metrics",
    "/api/v0/component/prometheus.exporter.unix.host/metrics",
    "//metrics",
    "/-/../metrics",
)


@pytest.fixture(scope="module")
def collector(alloy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running(Collector(alloy, tmp_path_factory.mktemp("alloy") / "collector", "local", NOWHERE)) as started:
        yield started


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("password", [None, "", "wrong", PASSWORD + "\n"], ids=["none", "empty", "wrong", "newline"])
def test_no_page_without_the_password(collector: Collector, path: str, password: str | None) -> None:
    """Without the password there is nothing: no component, no figure, no reload."""
    for method in ("GET", "POST"):
        assert collector.http(path, method, password)[0] in (401, 404, 405), method


def test_pages_with_the_password(collector: Collector) -> None:
    for path in ("/-/ready", "/metrics", "/api/v0/web/components"):
        assert collector.http(path)[0] == 200


@pytest.mark.parametrize("name", ["host", "self"])
def test_own_scrapes_bring_the_password(collector: Collector, name: str) -> None:
    """The metrics of the host and of Alloy are scraped through the same server."""

    def health() -> str | None:
        about = json.loads(collector.http(f"/api/v0/web/components/prometheus.scrape.{name}")[1])
        found = json.dumps(about["debugInfo"])
        return found if '"up"' in found or '"down"' in found else None

    assert '"up"' in until(f"the first scrape of {name}", 30, health, collector.said)


def test_health_check_of_compose_brings_the_password(collector: Collector, tmp_path: Path) -> None:
    """The container is healthy with the password, and not without it."""
    services = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    script = str(services["alloy"]["healthcheck"]["test"][-1]).replace("$$", "$")
    assert "/127.0.0.1/12345" in script
    script = script.replace("/127.0.0.1/12345", collector.url.replace("http://", "/").replace(":", "/"))
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    for file, healthy in ((collector.password_file, True), (wrong, False)):
        check = ["bash", "-c", script.replace("/etc/hypertool/secrets/web_password", str(file))]
        assert (subprocess.run(check, check=False, timeout=30).returncode == 0) is healthy, file


def test_password_is_in_no_answer(collector: Collector) -> None:
    listed = "/api/v0/web/components"
    names = [one["localID"] for one in json.loads(collector.http(listed)[1])]
    assert "local.file.web_password" in names
    for path in ("/metrics", listed, *(f"{listed}/{name}" for name in names)):
        assert PASSWORD not in collector.http(path)[1], path


def test_new_password_needs_no_restart(make_collector: Callable[..., Collector]) -> None:
    """The file is watched; the old password ends when the new one begins."""
    collector = make_collector("local", NOWHERE)
    with running(collector):
        collector.password_file.write_text("the-next\n", encoding="utf-8")
        until("the new password", 30, lambda: collector.http("/-/ready")[0] == 200 or None, collector.said)
        assert collector.http("/-/ready", password=PASSWORD)[0] == 401


def test_without_its_file_nothing_is_served(make_collector: Callable[..., Collector]) -> None:
    """A missing password is an error that names the file, never an open door."""
    collector = make_collector("local", NOWHERE)
    collector.password_file.unlink()
    with pytest.raises(AssertionError, match="web_password"):
        collector.start()
    collector.stop()
