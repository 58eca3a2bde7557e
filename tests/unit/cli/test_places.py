"""Addresses that the commands print lead to a page, on the Prometheus of each Debian release."""

from __future__ import annotations

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from hypertool.cli.places import Place, pages, prometheus_pages
from tests.dashboards.prometheus import binaries
from tests.support import service
from tests.support.box import free_port
from tests.support.debian_binaries import PROMETHEUS_PACKAGES

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / "prometheus" / "web"
#: A page of Prometheus as guides write it. Without a path it is a prefix, or the end of a tunnel.
PAGE = re.compile(r"http://localhost:9090/((?:[a-z]+/)+[a-z.]+)")
#: Only an installed Debian 12 has its files (tests/hosts opens it there); the README says which packages have it.
CLASSIC = "classic/graph"


def guides() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


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


class Answering(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("page", "shown"), [(b"<title>Grafana</title>", 2), (b"<title>My app</title>", 0)])
def test_only_what_is_there_is_named(page: bytes, shown: int) -> None:
    """No address of a Prometheus or a Grafana that this host has not, nor of another program on their port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Page", (Answering,), {"page": page}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = pages(f"http://127.0.0.1:{free_port()}/", f"http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()
    assert [place.what for place in found] == ["Grafana"] * shown


def test_pages_named_in_guides_are_known() -> None:
    """Guides name no page of Prometheus but those that the test above opens on each release, and the classic one."""
    named = {path for guide in guides() for path in PAGE.findall(guide.read_text(encoding="utf-8"))}
    assert named == {"user/overview.html", "user/runbook.html", CLASSIC}


def test_links_into_the_runbook_have_a_section() -> None:
    """Each `runbook_url`, and each alert's name, by which the dashboards link, is an id of the page."""
    known = set(re.findall(r' id="([^"]+)"', (WEB / "runbook.html").read_text(encoding="utf-8")))
    files = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 30
    wanted = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in alerts}
    assert wanted | {rule["alert"] for rule in alerts} <= known


def test_links_in_guides_lead_to_files() -> None:
    """A link from a guide to a file of the repository finds it, pictures too."""
    missing = []
    for guide in guides():
        text = re.sub(r"```.*?```", "", guide.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not target.startswith("mailto:") and not (guide.parent / target).exists():
                missing.append(f"{guide.relative_to(ROOT)}: {target}")
    assert missing == []
