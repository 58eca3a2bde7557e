"""What a real Prometheus knows of a test: it scrapes the real exporter every second, as it does on a host."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.dashboards.prometheus import prometheus
from tests.support.exporter_process import running
from tests.support.hypertool_host import Host, wait_until

_CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: hypertool
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
_NOT_OURS = ("__name__", "job", "instance")


class Measured:
    """The Prometheus at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        where = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(where, timeout=20) as answer:
            return list(json.load(answer)["data"]["result"])

    def scrape(self) -> dict[str, float]:
        """Every sample, such as `name{label="value"}` with sorted labels, from a scrape that begins after this call."""
        since = time.time()
        wait_until(lambda: self._scraped() > since, "a scrape", 30)
        found = {}
        for one in self.query('{job="hypertool", __name__=~"hypertool_.+"}'):
            labels = {name: value for name, value in one["metric"].items() if name not in _NOT_OURS}
            inner = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
            found[f"{one['metric']['__name__']}{{{inner}}}"] = float(one["value"][1])
        return found

    def _scraped(self) -> float:
        """When the last scrape that succeeded has begun; 0 where the last one failed."""
        found = [sample for one in self.query('up{job="hypertool"}[30s]') for sample in one["values"]]
        return float(found[-1][0]) if found and found[-1][1] == "1" else 0.0


@contextmanager
def measured(folder: Path, programs: Path) -> Iterator[Measured]:
    """The exporter on the state of this test, and a Prometheus (its programs are in a folder) that scrapes it."""
    host = Host(folder / "host")
    host.variables["HYPERTOOL_STATE_DIR"] = os.environ["HYPERTOOL_STATE_DIR"]
    with (
        running(host) as exporter,
        prometheus(programs, folder / "prometheus", _CONFIG.format(port=exporter.port)) as url,
    ):
        yield Measured(url)


def series(name: str, scraped: dict[str, float], *labels: str) -> dict[tuple[str, ...], float]:
    """Samples above 0 of one metric, by these labels; the others are added up."""
    found: dict[tuple[str, ...], float] = {}
    for key, value in scraped.items():
        if key.startswith(name + "{") and value:
            given = dict(re.findall(r'(\w+)="([^"]*)"', key))
            place = tuple(given[label] for label in labels)
            found[place] = found.get(place, 0) + value
    return found
