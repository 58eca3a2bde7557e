"""A firing and a healthy Prometheus with our rules, and an Alertmanager with our routing for the first."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rules.cases import PROMETHEUS, RULE_FILES
from tests.rules.services import Receiver, alertmanager, get_json, prometheus, query, receiver, until
from tests.rules.test_alertmanager import quick
from tests.rules.world import FIRING, HEALTHY, Moment, backfill
from tests.support.debian_binaries import alertmanager_binaries, prometheus_binaries

RECORDS = re.compile(r"^\s*- record: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class World:
    """A Prometheus with a past, and the moment at which its rules had seen all of it.

    The past ends where the world begins, so everything is asked as of that moment: minutes later the same data
    would be that of hosts which have gone silent.
    """

    url: str
    moment: float

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The rows of a query as of that moment."""
        return query(self.url, expression, self.moment)


@dataclass(frozen=True)
class Worlds:
    """Both worlds, Alertmanager's base URL, the receiver of notifications, and where promtool and amtool are."""

    firing: World
    healthy: World
    alertmanager: str
    hook: Receiver
    programs: tuple[Path, Path]


def _rules(folder: Path) -> list[Path]:
    """Our rules, evaluated every second and without the waits that test cases prove elsewhere."""
    copies: list[Path] = []
    for source in RULE_FILES:
        text = re.sub(
            r"^( +)interval: \d+s$", r"\1interval: 1s", source.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        copy = folder / source.name
        copy.write_text(re.sub(r"^( +)for: \d+[smh]$", r"\1for: 1s", text, flags=re.MULTILINE), encoding="utf-8")
        copies.append(copy)
    return copies


@contextmanager
def _world(release: str, moments: dict[str, Moment], alerts: int, folder: Path, target: str) -> Iterator[World]:
    folder.mkdir()
    binaries = prometheus_binaries(release)
    backfill(binaries / "promtool", moments, folder, time.time())
    rules = "".join(f"\n  - {path}" for path in _rules(folder))
    config = f"global: {{evaluation_interval: 1s}}\nrule_files:{rules}\n"
    if target:
        config += f"alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [{target}]\n"
    with prometheus(binaries, folder, config) as url:
        records = [name for source in RULE_FILES for name in RECORDS.findall(source.read_text(encoding="utf-8"))]

        before: dict[str, str] = {}

        def settled() -> bool:
            """Records and alerts are there, and every group was evaluated once more with all of them."""
            firing = query(url, 'count(count by (alertname) (ALERTS{alertstate="firing"}))')
            recorded = all(query(url, f'count({{__name__="{name}"}})') for name in records)
            if not (recorded and firing and int(firing[0]["value"][1]) >= alerts):
                return False
            groups = get_json(f"{url}/api/v1/rules")["data"]["groups"]
            evaluated = {group["name"]: str(group["lastEvaluation"]) for group in groups}
            before.update(before or evaluated)
            return all(evaluated[name] != when for name, when in before.items())

        until(f"{len(records)} recording rules with a result and {alerts} firing alerts", settled)
        yield World(url, time.time())


@contextmanager
def worlds(release: str, folder: Path) -> Iterator[Worlds]:
    """Both worlds under one release; Alertmanager is there before the first alert."""
    programs = alertmanager_binaries(release)
    source = PROMETHEUS / "alertmanager"
    with receiver() as hook:
        config = quick((source / "alertmanager.yml").read_text(encoding="utf-8"), hook.address)
        with (
            alertmanager(programs, folder / "alertmanager", config, source / "templates") as routing,
            _world(release, FIRING, len(FIRING) + 1, folder / "firing", routing.removeprefix("http://")) as firing,
            _world(release, HEALTHY, 1, folder / "healthy", "") as healthy,
        ):
            yield Worlds(firing, healthy, routing, hook, (prometheus_binaries(release), programs))
