"""The whole way once, with nothing played: a real run, the real exporter, a real scrape, and every panel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dashboards.panels import Fetch, baseline_deviations, http_fetch, run, variable_values
from tests.dashboards.prometheus import binaries, free_port, prometheus
from tests.dashboards.queries import DASHBOARDS, View, all_queries
from tests.support.box import until

ROOT = DASHBOARDS.parents[1]
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: hypertool
    static_configs: [{{targets: ["{target}"], labels: {{instance: this-host}}}}]
"""


def until_nothing(what: str, complaints: Callable[[], list[str]]) -> None:
    """Wait until there is nothing to complain about; else fail with the last complaints."""
    last: list[str] = []

    def in_order() -> bool | None:
        last[:] = complaints()
        return not last or None

    until(what, 30, in_order, lambda: "\n".join(last))


def call(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@contextmanager
def exporter(environment: Mapping[str, str], log: Path) -> Iterator[None]:
    code = "import sys; from hypertool.service.exporter import run_exporter; sys.exit(run_exporter())"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(call(code), env=dict(environment), stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def unscraped(fetch: Fetch, target: str) -> list[str]:
    found = fetch("/api/v1/query", {"query": "hypertool_build_info"})["data"]["result"]
    return [] if found else [f"Prometheus has scraped nothing of {target}"]


@pytest.mark.predecessor("D1", "D13")
def test_one_baseline_run_shows_in_every_panel(release: str, tmp_path: Path) -> None:
    target = f"127.0.0.1:{free_port()}"
    state = tmp_path / "state"
    state.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LANGFUSE_"))},
        "PYTHONPATH": str(ROOT / "instrumentation"),
        "HYPERTOOL_STATE_DIR": str(state),
        "HYPERTOOL_LISTEN": target,
    }
    directory = tmp_path / "prometheus"
    config = CONFIG.format(target=target)
    log = tmp_path / "exporter.log"
    with exporter(environment, log), prometheus(binaries(release), directory, config) as url:
        fetch = http_fetch(url)
        until_nothing("the first scrape", lambda: unscraped(fetch, f"{target}, {log.read_text(encoding='utf-8')}"))
        baseline = call("from hypertool.simulation.workflows import run_baseline; run_baseline()")
        ran = subprocess.run(baseline, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr

        # The column of a graph that contains the run is complete, and so drawn, a minute later.
        until_nothing("the run in every panel", lambda: baseline_deviations(View(time.time() + 60, 900), fetch))
        now = View(time.time() + 1, 900)
        offered = {
            query.name: variable_values(query, now, fetch) for query in all_queries() if query.kind == "variable"
        }
        # A baseline run is no coding agent, so there is no persona of one.
        assert [name for name, values in offered.items() if not values] == ["hypertool-agents/$persona/variable"]
        for query in (query for query in all_queries() if query.kind == "annotation"):
            assert run(query, now, fetch) == []
