"""The drill: a budget is overspent, the alert fires, arrives with what a person needs, and ends when it is reset."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.fleet import ask, on_all, value

pytestmark = pytest.mark.host

PERSONA = "data-scientist"
ANNOTATIONS = {"summary", "description", "action", "runbook_url", "dashboard_url"}
LOG = "/var/lib/hypertool/service/alerts.jsonl"


def notifications(host: Host, since: int, status: str) -> list[dict[str, Any]]:
    """What the alert log wrote about our drill after line `since`."""
    found = []
    for line in host.check_output(f"tail -n +{since + 1} {LOG}").splitlines():
        for alert in json.loads(line).get("alerts", []):
            labels = alert["labels"]
            drilled = labels["alertname"] == "TokenBudgetExceeded" and labels.get("persona") == PERSONA
            if drilled and alert["status"] == status:
                found.append(alert)
    return found


def _drill(host: Host) -> dict[str, Any]:
    """Overspend, wait for the notification, reset, wait for its end; everything that was seen."""
    # The Watchdog is the first that arrives on a new host.
    until("the alert log to have received anything", 90, lambda: host.file(LOG).exists or None)
    since = int(host.check_output(f"wc -l < {LOG}"))
    said = host.check_output(f"hypertool drill token-budget-exceeded --persona {PERSONA}")
    try:
        arrived = until("the alert's arrival", 240, lambda: notifications(host, since, "firing") or None)
        firing = f'ALERTS{{alertname="TokenBudgetExceeded",alertstate="firing",persona="{PERSONA}"}}'
        seen = value(host, firing)
        left = value(host, f'hypertool_persona_token_budget_remaining{{persona="{PERSONA}"}}')
    finally:
        host.check_output(f"hypertool budget --persona {PERSONA} --reset")
    ended = until("its end at the receiver", 240, lambda: notifications(host, since, "resolved") or None)
    full = value(host, f'hypertool_persona_token_budget_remaining{{persona="{PERSONA}"}}')
    return {"said": said, "arrived": arrived, "firing": seen, "left": left, "ended": ended, "full": full}


@pytest.fixture(scope="module")
def drills(hosts: dict[str, Host]) -> dict[str, dict[str, Any]]:
    """The drill on all hosts at once: it takes two to three minutes."""
    return on_all(hosts, _drill)


def test_drill_overspends_and_the_alert_fires(drills: dict[str, dict[str, Any]], name: str) -> None:
    assert drills[name]["left"] < 0
    assert drills[name]["firing"] == 1


def test_drill_arrives_with_what_a_person_needs(
    drills: dict[str, dict[str, Any]], hosts: dict[str, Host], name: str
) -> None:
    """The drill's notification arrives with everything that a person needs to act."""
    alert = drills[name]["arrived"][0]
    assert {"severity": "critical", "category": "cost", "component": "hypertool"}.items() <= alert["labels"].items()
    assert {key for key, text in alert["annotations"].items() if text} >= ANNOTATIONS
    assert PERSONA in alert["annotations"]["summary"] + alert["annotations"]["description"]
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert f'id="{anchor}"' in ask(hosts[name], page)


def test_drill_ends_when_the_budget_is_reset(drills: dict[str, dict[str, Any]], name: str) -> None:
    assert drills[name]["ended"], "no resolved notification"
    assert drills[name]["full"] == 1700


def test_drill_is_in_the_journal_too(drills: dict[str, dict[str, Any]], hosts: dict[str, Host], name: str) -> None:
    assert drills[name]["arrived"]
    said = hosts[name].check_output("journalctl --no-pager -u hypertool-alert-log --since=-15min")
    assert "TokenBudgetExceeded" in said
