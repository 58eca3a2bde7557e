"""An incident from the fault to the recovery, on the host's Prometheus and Alertmanager, in under five minutes."""

from __future__ import annotations

import base64
import io
import re
import tarfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import ROOT, Fleet, Play, ask, on_all, value

pytestmark = pytest.mark.host

EXAMPLE = ROOT / "docs" / "examples" / "incident_response"
SHOP = "/opt/shop"
OWN = "/etc/hypertool/prometheus/conf.d"
PLACES = {
    "shop.service": "/etc/systemd/system/shop.service",
    "rules.yml": f"{OWN}/rules/shop.yml",
    "targets.yml": f"{OWN}/targets/shop.yml",
}
RESPOND = f"cd {SHOP} && /opt/hypertool/venv/bin/python -B respond.py --ticket /run/shop/tickets.md"
GATES = 'hypertool_workflow_quality_gate_total{.*workflow="incident_response"'
TOKENS = 'hypertool_persona_tokens_used_total{.*chatmode="incident-response"'


class Seen(NamedTuple):
    """What one host showed."""

    routes: dict[str, str]
    resolved: str
    seconds: float
    files: dict[str, str]
    running: str
    gates: dict[tuple[str, str], float]
    tokens: dict[str, float]


def packed() -> str:
    """The example's folder, for a shell."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(EXAMPLE, arcname=".", filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return base64.b64encode(memory.getvalue()).decode()


def set_up(host: Host) -> None:
    """As the README of the example says."""
    host.check_output(f"mkdir -p {SHOP} /run/shop && echo {packed()} | base64 -d | tar xz -C {SHOP} --no-same-owner")
    host.check_output(f"ln -s releases/1.0.0 {SHOP}/current")
    for name, place in PLACES.items():
        host.check_output(f"install -m 0644 {SHOP}/{name} {place}")
    host.check_output("systemctl daemon-reload && systemctl start shop && systemctl reload prometheus")
    until("Prometheus to see the orders", 90, lambda: value(host, "sum(rate(shop_orders_total[1m]))"))


def clear_away(host: Host) -> None:
    host.run("systemctl stop shop")
    host.run(
        f"rm -rf {SHOP} /run/shop {' '.join(PLACES.values())}; systemctl daemon-reload; systemctl reload prometheus"
    )


def figures(host: Host, pattern: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Sums of the endpoint's samples by these labels."""
    found: dict[tuple[str, ...], float] = {}
    for line in ask(host, "http://127.0.0.1:9464/metrics").splitlines():
        if re.match(pattern, line):
            given = dict(re.findall(r'(\w+)="([^"]*)"', line))
            key = tuple(given[label] for label in labels)
            found[key] = found.get(key, 0) + float(line.rpartition(" ")[2])
    return found


def grown(after: dict[tuple[str, ...], float], before: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}


def incident(host: Host) -> Seen:
    """A fault, its alert, every route of it, a bad fix, a good one, and the recovery."""
    set_up(host)
    gates, tokens = figures(host, GATES, "stage", "result"), figures(host, TOKENS, "persona")
    began = time.monotonic()
    host.check_output(f"truncate --size 3 {SHOP}/data/stock.json")
    routes = {
        priority: host.check_output(f"{RESPOND} --priority {priority} --timeline /run/shop/{priority}.md")
        for priority in ("p3_low", "p0_critical", "p2_medium")
    }
    unchanged = host.check_output(f"readlink {SHOP}/current")
    assert unchanged == "releases/1.0.0", "a route that must not deploy did"
    resolved = host.check_output(f"{RESPOND} --timeline /run/shop/p1_high.md")
    seconds = time.monotonic() - began
    names = ("p1_high.md", "p3_low.md", "p0_critical.md", "tickets.md")
    return Seen(
        routes,
        resolved,
        seconds,
        {name: host.file(f"/run/shop/{name}").content_string for name in names},
        host.check_output(f"readlink {SHOP}/current"),
        {(stage, result): n for (stage, result), n in grown(figures(host, GATES, "stage", "result"), gates).items()},
        {persona: n for (persona,), n in grown(figures(host, TOKENS, "persona"), tokens).items()},
    )


@pytest.fixture(scope="module")
def incidents(fleet: Fleet, installed: Play) -> Iterator[dict[str, Seen]]:
    """The incident on all hosts at once; it is cleared away afterwards, whatever came of it."""
    try:
        yield on_all(fleet.hosts, incident)
    finally:
        on_all(fleet.hosts, clear_away)


def test_incident_is_resolved_in_five_minutes(incidents: dict[str, Seen], name: str) -> None:
    """From the fault to the recovery that Prometheus confirms; each step prints its time."""
    seen = incidents[name]
    print(f"\n{name}, {seen.seconds:.0f} s from the fault to the recovery:\n{seen.resolved}")
    assert seen.seconds < 300
    assert seen.running == "releases/1.0.2"
    steps = re.findall(r"^ *[\d.]+ s  (\w+)", seen.resolved, re.M)
    assert steps == [
        *("alert", "triage", "investigation", "hotfix", "deploy", "hotfix", "deploy", "verify_recovery", "total")
    ]
    assert "1.0.1 rolled back to 1.0.0: 0 of 20 orders succeeded" in seen.resolved
    assert "1.0.2 is running: 20 of 20 orders succeeded" in seen.resolved
    assert "the alert has ended" in seen.resolved


def test_routes_do_only_what_they_may(incidents: dict[str, Seen], name: str) -> None:
    """p0 escalates and changes nothing, p2 prepares a fix, p3 files a ticket."""
    routes = incidents[name].routes
    assert "escalated" in routes["p0_critical"]
    assert "investigation" not in routes["p0_critical"]
    assert "  investigation" in routes["p2_medium"]
    assert "  deploy" not in routes["p2_medium"]
    assert "filed in /run/shop/tickets.md" in routes["p3_low"]
    assert incidents[name].files["tickets.md"].count("- ShopOrdersFail: ") == 1


def test_timeline_tells_the_story(incidents: dict[str, Seen], name: str) -> None:
    """One row a step, with time, duration, persona and outcome."""
    document = incidents[name].files["p1_high.md"]
    assert document.startswith("# Incident ShopOrdersFail\n\nDecision: **resolved**")
    rows = [
        line for line in document.splitlines() if re.match(r"\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| [\d.]+ s \|", line)
    ]
    assert len(rows) == 8
    assert "| hotfix | backend-engineer | release 1.0.1 |" in document
    assert "**escalated**" in incidents[name].files["p0_critical.md"]


def test_incident_is_in_the_metrics(incidents: dict[str, Seen], name: str) -> None:
    """Gates of all four runs, the failed deployment among them, and the tokens of each persona."""
    seen = incidents[name]
    assert seen.gates == {
        ("triage", "pass"): 4,
        ("triage.route", "pass"): 4,
        ("investigation", "pass"): 2,
        ("hotfix", "pass"): 3,
        ("deploy", "fail"): 1,
        ("deploy", "pass"): 1,
        ("verify_recovery", "pass"): 1,
    }
    assert seen.tokens == {"observability-expert": 2 * 1820, "backend-engineer": 3 * 925, "devops-engineer": 2 * 820}
