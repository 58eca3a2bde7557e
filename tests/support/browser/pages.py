"""Pages of another origin, and of a name that is rebound, in a Chromium on a host: what each of them got."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.support.box import until

Attempts = list[dict[str, Any]]
ATTACKER = Path(__file__).with_name("attacker.py")
#: Prometheus, Alertmanager, the exporter and the alert log.
PORTS = (9090, 9093, 9464, 9465)
FORGED = "forged-by-a-page"
FOLDER = "/var/tmp/attacker"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
NAMES = "echo 127.0.0.1 evil.test; echo 127.0.0.2 rebind.test"


def pages(ports: Sequence[int]) -> dict[str, str]:
    """The address of each page by its name."""
    return {
        "other": "http://evil.test:8081/other.html",
        "local": "http://evil.test:8081/local.html",
        **{f"rebound-{port}": f"http://rebind.test:{port}/page.html" for port in ports},
    }


def names_of_pages(ports: Sequence[int]) -> list[str]:
    return list(pages(ports))


@contextmanager
def hostile_pages(host: Host, ports: Sequence[int]) -> Iterator[dict[str, Attempts]]:
    """Every page opened once on the host; yields what each one tried and got, by its name."""
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium")
    host.check_output(f"rm -rf {FOLDER} && mkdir -p {FOLDER} && cp /etc/hosts {FOLDER}/hosts")
    host.check_output(f"{{ cat {FOLDER}/hosts; {NAMES}; }} > /etc/hosts")
    host.check_output("printf %%s %s > %s", ATTACKER.read_text(encoding="utf-8"), f"{FOLDER}/attacker.py")
    program = f"python3 {FOLDER}/attacker.py {FOLDER} {' '.join(map(str, ports))}"
    host.check_output(f"systemd-run --quiet --collect --unit=attacker {program}")
    try:
        until("the hostile site to listen", 20, lambda: host.file(f"{FOLDER}/ready").exists or None)
        yield {name: opened(host, name, url) for name, url in pages(ports).items()}
    finally:
        host.run("systemctl kill --signal=SIGKILL attacker 'chromium-*'; systemctl reset-failed attacker 'chromium-*'")
        host.run(f"cat {FOLDER}/hosts > /etc/hosts; rm -rf {FOLDER}")


def opened(host: Host, name: str, url: str) -> Attempts:
    """Open one page in a browser of its own until it has reported."""
    chromium = f"chromium {FLAGS} --user-data-dir={FOLDER}/profile-{name} {url}"
    unit = f"chromium-{name}"
    host.check_output(f"systemd-run --quiet --collect --unit={unit} --setenv=HOME={FOLDER} {chromium}")
    report = host.file(f"{FOLDER}/{name}.json")
    until(
        f"the page {url} to report",
        60,
        lambda: report.exists or None,
        lambda: str(host.run(f"journalctl -u {unit} -n 30 --no-pager").stdout),
    )
    attempts: Attempts = json.loads(report.content_string)
    host.run(f"systemctl kill --signal=SIGKILL {unit}")
    return attempts


def check_page(name: str, attempts: Attempts) -> None:
    """Every attempt was made, and none of them had an answer with content of a service."""
    assert len([one for one in attempts if one["what"] == "read"]) >= 2
    readable = [one for one in attempts if one.get("status", 0) in range(200, 300) and one["type"] != "opaque"]
    assert readable == []
    if name.startswith("rebound"):
        unanswered = [one for one in attempts if one.get("status", 0) < 400]
        assert unanswered == [], "the service itself has to have answered"
