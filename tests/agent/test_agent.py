"""Collector `prometheus`, destination `grafana_cloud`: what waits is not lost, and what is refused is reported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.agent.conftest import Agent, agent, written
from tests.rules.cases import PROMETHEUS
from tests.rules.conftest import run
from tests.rules.services import prometheus, query, until
from tests.support.cloud import CloudStandIn
from tests.support.debian_binaries import prometheus_binaries

HOSTILE = "a: \"b\" #{c} 'd' & *e"


def test_configuration_is_accepted_as_metrics_only(edge_release: str, tmp_path: Path) -> None:
    """Prometheus accepts the configuration, and its summary says that the agent delivers metrics only."""
    made = written(tmp_path, edge_release, prometheus_remote_write_url="https://x.example/push")
    checked = run(
        prometheus_binaries(edge_release) / "promtool", "check", "config", "--agent", tmp_path / "prometheus.yml"
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert made.config.keys() - {"scrape_config_files"} == {"global", "scrape_configs", "remote_write"}, (
        "an agent has neither rules nor receivers"
    )
    assert [job["job_name"] for job in made.config["scrape_configs"]] == ["hypertool", "node", "prometheus", "own"]


def test_hostile_values_stay_values(tmp_path: Path) -> None:
    made = written(
        tmp_path, "trixie", prometheus_instance=HOSTILE, prometheus_remote_write_url="https://x.example/push",
        prometheus_remote_write_user=HOSTILE, prometheus_remote_write_proxy_url="http://proxy.example:3128",
    )  # fmt: skip
    (endpoint,) = made.config["remote_write"]
    assert made.config["global"]["external_labels"] == {"instance": HOSTILE}
    assert endpoint["basic_auth"]["username"] == HOSTILE
    assert endpoint["proxy_url"] == "http://proxy.example:3128"
    assert "tls_config" not in endpoint, "the system's authorities"


def test_receiver_scrapes_only_itself_and_alertmanager(edge_release: str, tmp_path: Path) -> None:
    """As a receiver, Prometheus scrapes nothing but itself and Alertmanager."""
    made = written(tmp_path, edge_release, prometheus_mode="server", prometheus_remote_write_receiver=True)
    assert {job["job_name"] for job in made.config["scrape_configs"]} == {"prometheus", "alertmanager", "own"}
    assert made.config["rule_files"] == ["rules/*.yml", "conf.d/rules/*.yml"], "it alerts all the same"
    assert "--web.enable-remote-write-receiver" in made.flags
    folder = tmp_path / "data"
    folder.mkdir()
    binaries = prometheus_binaries(edge_release)
    with prometheus(binaries, folder, yaml.safe_dump(made.config), "--web.enable-remote-write-receiver") as url:
        refused = run("curl", "--silent", "--data", "x", "--write-out", "%{http_code}", f"{url}/api/v1/write")
        assert refused.stdout.endswith(("400", "415")), "404 would be: no receiver"


def test_log_outlasts_the_outage_budget(tmp_path: Path) -> None:
    """The write-ahead log reaches back longer than the outage budget."""
    made = written(
        tmp_path, "trixie", prometheus_outage_budget="6h", prometheus_remote_write_url="https://x.example/push"
    )
    flags = dict(flag.partition("=")[::2] for flag in made.flags)
    kept = re.fullmatch(r"(\d+)s", flags["--storage.agent.retention.max-time"])
    assert kept
    assert int(kept[1]) > 6 * 3600


def received(cloud: CloudStandIn) -> list[int]:
    """The numbers of all scrapes that have arrived, in their order."""
    rows = cloud.query("numbered_scrapes_total[1h]")
    return [int(value) for row in rows for _, value in row["values"]]


def growing(running: Agent, metric: str, by: float) -> None:
    """Wait until a counter of the agent itself has grown so much."""
    before = own(running, metric)
    until(f"{metric} to grow by {by:g}", lambda: own(running, metric) >= before + by)


def own(running: Agent, metric: str) -> float:
    done = run("curl", "--fail", "--silent", "--show-error", f"{running.url}/metrics")
    assert done.returncode == 0, done.stderr
    return sum(float(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if line.startswith(f"{metric}{{"))


def times(url: str, metric: str) -> list[float]:
    """When the samples of a series above 0 were taken, in their order."""
    samples = [sample for row in query(url, f"{metric}[10m]") for sample in row["values"]]
    return sorted(float(when) for when, value in samples if float(value) > 0)


RETRIED = "prometheus_remote_storage_samples_retried_total"
FAILED = "prometheus_remote_storage_samples_failed_total"


def test_outages_lose_and_double_nothing(edge_release: str, cloud: CloudStandIn, tmp_path: Path) -> None:
    with agent(tmp_path / "agent", edge_release, cloud) as running:
        until("the first samples", lambda: received(cloud))
        for fault in ("down", "503", "429", "black_hole", "down"):
            cloud.fault("metrics", fault)
            first = running.application.scrapes
            if fault != "black_hole":
                growing(running, RETRIED, 1)
            until(f"scrapes during {fault}", lambda first=first: running.application.scrapes >= first + 8)
            cloud.fault("metrics", None)
        # A password that is replaced while the old one still works.
        cloud.tokens.add("rotated")
        running.password.write_text("rotated", encoding="utf-8")
        cloud.tokens.discard(cloud.token)
        last = running.application.scrapes + 3
        until(f"scrape {last} to arrive", lambda: last in received(cloud), 120)
        numbers = received(cloud)
        assert own(running, FAILED) == 0
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "missing or doubled"


def test_refused_password_fires_and_a_right_one_flows(edge_release: str, cloud: CloudStandIn, tmp_path: Path) -> None:
    """A refused password fires within three scrapes, and with the right one samples flow again.

    Scraped and evaluated every 5 s: a quarter of the interval that the rules have.
    """
    rules = (PROMETHEUS / "rules" / "pipeline_alerts.yml").read_text(encoding="utf-8")
    folder = tmp_path / "watching"
    folder.mkdir()
    (folder / "rules.yml").write_text(re.sub(r"(interval|for): 20s", r"\1: 5s", rules), encoding="utf-8")
    with agent(tmp_path / "agent", edge_release, cloud) as running:
        target = [{"targets": [running.url.removeprefix("http://")], "labels": {"instance": "host-a"}}]
        config: dict[str, Any] = {
            "global": {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "5s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "prometheus", "static_configs": target}],
        }
        with prometheus(running.binaries, folder, yaml.safe_dump(config)) as url:
            until("a look at the healthy agent", lambda: query(url, f"{FAILED} == 0"))
            running.password.write_text("revoked", encoding="utf-8")
            until("the refusal to be counted", lambda: own(running, FAILED))
            alert = 'ALERTS{alertname="SamplesRejected",alertstate="firing"}'
            until("SamplesRejected", lambda: query(url, alert))
            # Counted in scrapes and not in seconds: a busy machine delays both.
            fired = times(url, alert)[0]
            shown = [when for when in times(url, FAILED) if when <= fired]
            assert len(shown) <= 3, f"fired only after {len(shown)} scrapes that show a failure"
            running.password.write_text(cloud.token, encoding="utf-8")
            now = running.application.scrapes
            until("new samples to arrive", lambda: any(number > now for number in received(cloud)))
            failed, now = own(running, FAILED), running.application.scrapes
            until("more of them", lambda: any(number > now for number in received(cloud)))
            assert own(running, FAILED) == failed, "still refused"
