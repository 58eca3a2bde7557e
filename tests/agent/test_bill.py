"""What Grafana Cloud bills for a host whose collector is Prometheus in agent mode."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

import yaml

from tests.agent.conftest import written
from tests.support.billed_host import BILLED_AT_MOST, BILLED_BEFORE, exporter
from tests.support.box import free_port, until
from tests.support.debian_binaries import prometheus_binaries, unpacked
from tests.support.service import service

NOWHERE = "http://127.0.0.1:9/api/prom/push"
JOBS = ("hypertool", "node", "prometheus")


def held(url: str) -> int | None:
    """The active series of an agent that has scraped every target at least once."""
    with urllib.request.urlopen(f"{url}/api/v1/targets?state=active", timeout=60) as answer:
        if answer.read().count(b'"health":"up"') < len(JOBS):
            return None
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        found = re.search(r"^prometheus_agent_active_series (\S+)$", answer.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else None


def test_agent_scrapes_once_a_minute(edge_release: str, tmp_path: Path) -> None:
    """A point a minute of each series, in every job; another interval is one variable."""
    config = written(tmp_path / "default", edge_release, prometheus_remote_write_url=NOWHERE).config
    assert config["global"]["scrape_interval"] == "60s"
    assert [job["job_name"] for job in config["scrape_configs"] if "scrape_interval" in job] == []
    other = written(
        tmp_path / "other", edge_release, prometheus_remote_write_url=NOWHERE, observability_scrape_interval="5s",
        observability_more_metrics=".*",
    ).config  # fmt: skip
    assert (other["global"]["scrape_interval"], other["global"]["scrape_timeout"]) == ("5s", "5s")
    filters = [
        job["metric_relabel_configs"][0]["regex"] for job in other["scrape_configs"] if job["job_name"] in JOBS[1:]
    ]
    assert [one.endswith("|.*") for one in filters] == [True, True]


def test_agent_bill_is_within_its_limit(edge_release: str, tmp_path: Path) -> None:
    """At a point a minute, the series that a real agent holds are the billable ones."""
    made = written(tmp_path / "written", edge_release, prometheus_remote_write_url=NOWHERE)
    node = f"127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{free_port()}"
    program = unpacked("trixie", ("prometheus-node-exporter",)) / "usr" / "bin" / "prometheus-node-exporter"
    with exporter(tmp_path / "host") as (_, ours):
        addresses = {"hypertool": ours, "node": node, "prometheus": url.removeprefix("http://")}
        made.config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        for job in made.config["scrape_configs"]:
            job.pop("file_sd_configs")
            job.pop("basic_auth", None)
            job.pop("scrape_timeout", None)
            target = addresses.get(job["job_name"])
            job["static_configs"] = [{"targets": [target], "labels": {"instance": "host-a"}}] if target else []
        config = tmp_path / "prometheus.yml"
        made.config["remote_write"][0]["basic_auth"] = {"username": "1", "password": "x"}
        config.write_text(yaml.safe_dump(made.config), encoding="utf-8")
        mode = "--enable-feature=agent" if "--agent" not in made.flags else "--agent"
        command = [str(prometheus_binaries(edge_release) / "prometheus"), mode, f"--config.file={config}"]
        command += [f"--storage.agent.path={tmp_path / 'data'}", f"--web.listen-address={addresses['prometheus']}"]
        exporting = subprocess.Popen(
            [program, f"--web.listen-address={node}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with service(command, url, tmp_path / "agent.log"):
                series = until("every target to be scraped", 60, lambda: held(url))
        finally:
            exporting.terminate()
            exporting.wait(15)
    print(f"{series} billable series with Prometheus of {edge_release}")
    assert 200 < series <= min(BILLED_AT_MOST, BILLED_BEFORE // 5)
