"""A web page neither reads nor changes anything on loopback: Chromium, another origin, and a name that is rebound."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import Fleet, ask

pytestmark = pytest.mark.host

ATTACKER = Path(__file__).with_name("browser") / "attacker.py"
#: 12345 is Alloy's and is not part of this installation (tests/alloy_hosts).
PORTS = (9090, 9093, 9464, 9465)
FORGED = "forged-by-a-page"
FOLDER = "/var/tmp/attacker"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
NAMES = "echo 127.0.0.1 evil.test; echo 127.0.0.2 rebind.test"
PAGES = {
    "other": "http://evil.test:8081/other.html",
    "local": "http://evil.test:8081/local.html",
    **{f"rebound-{port}": f"http://rebind.test:{port}/page.html" for port in PORTS},
}


@pytest.fixture(scope="module")
def attacked(fleet: Fleet) -> Iterator[tuple[Host, dict[str, list[dict[str, Any]]], str]]:
    """The installed host, what each page got, and the processes of the services before."""
    fleet.play("site.yml").succeeded()
    host = next(iter(fleet.hosts.values()))
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium")
    host.check_output(f"rm -rf {FOLDER} && mkdir -p {FOLDER} && cp /etc/hosts {FOLDER}/hosts")
    host.check_output(f"{{ cat {FOLDER}/hosts; {NAMES}; }} > /etc/hosts")
    before = processes(host)
    host.check_output("printf %%s %s > %s", ATTACKER.read_text(encoding="utf-8"), f"{FOLDER}/attacker.py")
    program = f"python3 {FOLDER}/attacker.py {FOLDER} {' '.join(map(str, PORTS))}"
    host.check_output(f"systemd-run --quiet --collect --unit=attacker {program}")
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        until("the hostile site to listen", 20, lambda: host.file(f"{FOLDER}/ready").exists or None)
        for name, url in PAGES.items():
            chromium = f"chromium {FLAGS} --user-data-dir={FOLDER}/profile-{name} {url}"
            unit = f"chromium-{name}"
            host.check_output(f"systemd-run --quiet --collect --unit={unit} --setenv=HOME={FOLDER} {chromium}")
            report = host.file(f"{FOLDER}/{name}.json")
            until(
                f"the page {url} to report",
                60,
                lambda report=report: report.exists or None,  # type: ignore[misc]
                lambda unit=unit: str(host.run(f"journalctl -u {unit} -n 30 --no-pager").stdout),  # type: ignore[misc]
            )
            found[name] = json.loads(report.content_string)
            host.run(f"systemctl kill --signal=SIGKILL {unit}")
        yield host, found, before
    finally:
        host.run("systemctl kill --signal=SIGKILL attacker 'chromium-*'; systemctl reset-failed attacker 'chromium-*'")
        host.run(f"cat {FOLDER}/hosts > /etc/hosts; rm -rf {FOLDER}")


def processes(host: Host) -> str:
    units = "prometheus prometheus-alertmanager hypertool-exporter hypertool-alert-log"
    return str(host.check_output(f"systemctl show {units} -p MainPID"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_nothing(attacked: tuple[Host, dict[str, list[dict[str, Any]]], str], page: str) -> None:
    """Every attempt was made, and none of them had an answer with content of a service."""
    attempts = attacked[1][page]
    assert len([one for one in attempts if one["what"] == "read"]) >= 2
    readable = [one for one in attempts if one.get("status", 0) in range(200, 300) and one["type"] != "opaque"]
    assert readable == []
    if page.startswith("rebound"):
        unanswered = [one for one in attempts if one.get("status", 0) < 400]
        assert unanswered == [], "the service itself has to have answered"


def test_no_page_changed_anything(attacked: tuple[Host, dict[str, list[dict[str, Any]]], str]) -> None:
    """The services run as before, and nothing that a page sent is in one of them."""
    host, _, before = attacked
    assert processes(host) == before
    assert json.loads(ask(host, "http://127.0.0.1:9093/api/v2/silences")) == []
    assert FORGED not in ask(host, "http://127.0.0.1:9093/api/v2/alerts")
    assert host.run(f"grep -r {shlex.quote(FORGED)} /var/lib/hypertool").stdout == ""
    assert FORGED not in host.check_output("journalctl --no-pager -b -u hypertool-alert-log")
