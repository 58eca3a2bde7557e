"""site.yml for Grafana Cloud as one play on a fresh host: a real Alloy, a real Mimir, a real Grafana.

GRAFANA_BIN, MIMIR_BIN and ALLOY_BIN say where the programs are. Logs and traces go to the stand-in.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.push.real_servers import Grafana, program
from tests.support.alloy_package import build_package
from tests.support.alloy_program import MISSING, alloy_program
from tests.support.box import obstacle
from tests.support.cloud import CloudStandIn, cloud_stand_in
from tests.support.cloud.front import Answer, Front, Request
from tests.support.fleet import Fleet, Play, fresh_fleet

DIRECTORY = Path("/var/lib/hypertool-sandbox-cloud-play")
HOST, RELEASE = "trixie", "trixie"
#: At most so many billable series for each host, and a fifth of what was billed before the figure was ours.
MOST, FORMERLY = 1000, 8224


@contextmanager
def behind_tls(cloud: CloudStandIn, address: str, mimir: str) -> Iterator[str]:
    """Mimir where Grafana Cloud has it: /api/prom behind TLS and basic auth. Yields its address."""
    inside = urlsplit(mimir)

    def serve(request: Request) -> Answer:
        path = request.path.removeprefix("/api/prom")
        path = "/api/v1/push" if path == "/push" else inside.path + path
        kept = ("content-type", "x-prometheus-remote-write-version", "accept")
        headers = {key: value for key, value in request.headers.items() if key in kept}
        if request.headers.get("content-encoding") == "snappy":
            headers["content-encoding"] = "snappy"
        headers["X-Scope-OrgID"] = cloud.metrics_user
        connection = http.client.HTTPConnection(inside.netloc, timeout=60)
        try:
            connection.request(request.method, f"{path}?{request.query}", request.body or None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {"Content-Type": answer.getheader("Content-Type") or ""})
        finally:
            connection.close()

    def scopes(user: str, token: str) -> frozenset[str] | None:
        return frozenset({"any"}) if user == cloud.metrics_user and token in cloud.tokens else None

    certificate = cloud.authority.certificate("mimir", [address])
    front = Front("mimir", address, certificate, scopes, serve, lambda _: "any")
    try:
        yield f"{front.url}/api/prom"
    finally:
        front.close()


@pytest.fixture(scope="module")
def fleet(real_grafana: Grafana) -> Iterator[Fleet]:
    if alloy_program() is None:
        pytest.skip(MISSING)
    if obstacle():
        pytest.skip(obstacle())
    with fresh_fleet(DIRECTORY, (RELEASE,)) as made:
        yield made


@pytest.fixture(scope="module")
def variables(fleet: Fleet, real_grafana: Grafana, real_mimir: str) -> Iterator[dict[str, Any]]:
    """What a person with a Grafana Cloud stack gives the play."""
    address = str(fleet.hosts[HOST].check_output("ip route show default").split()[2])
    real_alloy = alloy_program()
    assert real_alloy is not None
    with cloud_stand_in(DIRECTORY / "cloud", address) as cloud, behind_tls(cloud, address, real_mimir) as metrics:
        yield {
            **{name.lower(): value for name, value in cloud.environment().items()},
            "grafana_cloud_metrics_url": f"{metrics}/push",
            "grafana_cloud_token": cloud.token,
            "grafana_cloud_read_token": cloud.read_token,
            "grafana_cloud_ruler_token": cloud.token,
            "grafana_cloud_grafana_url": real_grafana.url,
            "grafana_cloud_grafana_token": real_grafana.token("Editor"),
            "grafana_cloud_ca_file": str(cloud.ca_file),
            "grafana_repository_url": "http://127.0.0.1:9",
            "grafana_repository_probe_timeout": 1,
            "hypertool_destination": "grafana_cloud",
            "hypertool_collector": "alloy",
            "alloy_package_file": str(build_package(DIRECTORY, "1.18.1-1", real_alloy)),
        }


def play(fleet: Fleet, variables: dict[str, Any], *arguments: str) -> Play:
    inventory = json.loads(fleet.inventory.read_text(encoding="utf-8"))
    inventory["all"]["vars"] = variables
    fleet.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    done = fleet.play("site.yml", *arguments)
    print(f"\nsite.yml {' '.join(arguments)}: {done.seconds:.0f} s, {done.recap}")
    return done


def versions(grafana: Grafana) -> dict[str, int]:
    found = grafana.ask("GET", "/api/search?type=dash-db&tag=hypertool")
    return {one["uid"]: grafana.dashboard(one["uid"])["meta"]["version"] for one in found}


def test_one_play_installs_pushes_and_proves(
    fleet: Fleet, variables: dict[str, Any], real_grafana: Grafana, real_mimir: str
) -> None:
    """The first play installs, writes dashboards and rules, reads them back and prints the bill; the second and a
    rehearsal change nothing."""
    assert program("MIMIR_BIN")
    rehearsal = play(fleet, variables, "--check", "--diff").succeeded()
    assert versions(real_grafana) == {}
    assert "Put dashboards and rules into Grafana" in rehearsal.output
    first = play(fleet, variables).succeeded()
    print(*re.findall(r"msg: .*|\"msg\": .*", first.output), sep="\n")
    written = versions(real_grafana)
    assert len(written) == 5
    bill = re.search(r"points a minute:\s+([\d,.]+)\s+billable series", first.output)
    assert bill is not None, first.output[-3000:]
    billable = float(bill[1].replace(",", "").rstrip("."))
    assert billable <= min(MOST, FORMERLY / 5)
    second = play(fleet, variables).succeeded()
    assert second.changed(HOST) == []
    assert second.recap[HOST]["changed"] == 0
    checked = play(fleet, variables, "--check", "--diff").succeeded()
    assert checked.recap[HOST]["changed"] == 0
    assert versions(real_grafana) == written
