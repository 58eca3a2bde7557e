"""With our rules and our routing, in real programs: every alert fires and arrives; a healthy past fires nothing."""

from __future__ import annotations

from tests.rules.contract import ANNOTATIONS, SEVERITIES
from tests.rules.services import get_json, until
from tests.rules.world import COMPANIONS, FIRING, host
from tests.rules.worlds import Worlds


def test_every_alert_arrives_with_its_texts(worlds: Worlds) -> None:
    wanted = {(alert, host(alert)) for alert in FIRING} | {("Watchdog", "")}
    until(f"the notifications {wanted}", lambda: wanted <= worlds.hook.alerts().keys())
    for (alert, _), arrived in worlds.hook.alerts().items():
        assert sorted(arrived["annotations"]) == sorted(ANNOTATIONS)
        assert "<no value>" not in str(arrived["annotations"])
        assert "<error" not in str(arrived["annotations"])
        assert arrived["labels"]["severity"] == SEVERITIES[alert][0]


def test_nothing_else_fires(worlds: Worlds) -> None:
    rows = worlds.firing.ask('ALERTS{alertstate="firing", alertname!="Watchdog"}')
    found = {(row["metric"]["alertname"], row["metric"].get("instance", "")) for row in rows}
    companions = {(companion, host(alert)) for alert, companion in COMPANIONS.items()}
    assert found == {(alert, host(alert)) for alert in FIRING} | companions


def test_near_misses_fire_nothing(worlds: Worlds) -> None:
    rows = worlds.healthy.ask('ALERTS{alertname!="Watchdog"}')
    assert [row["metric"] for row in rows] == []


def test_every_rule_evaluates_on_real_data(worlds: Worlds) -> None:
    for url in (worlds.firing.url, worlds.healthy.url):
        for group in get_json(f"{url}/api/v1/rules")["data"]["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok", f"{rule['name']}: {rule.get('lastError')}"
