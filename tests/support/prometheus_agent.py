"""Starts Debian's real Prometheus in agent mode: scrapes hypertool's exporter and itself, sends by remote write."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.box import free_port
from tests.support.debian_binaries import prometheus_binaries
from tests.support.service import service

SCRAPE_SECONDS = 2


@dataclass
class Agent:
    """A running agent; its configuration is `config`, which takes effect with `reload`."""

    url: str
    config: dict[str, Any]
    token_file: Path
    _file: Path

    def reload(self) -> None:
        """Make it read its configuration again."""
        self._file.write_text(json.dumps(self.config), encoding="utf-8")  # JSON is YAML
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/-/reload", method="POST"), timeout=30):
            pass

    def metric(self, name: str) -> float:
        """The sum of one of its own metrics over all labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def target(self, job: str) -> dict[str, Any]:
        """What it says of a job's target (health, lastScrape, lastError); nothing if there is none."""
        with urllib.request.urlopen(f"{self.url}/api/v1/targets?state=active", timeout=30) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return next((target for target in targets if target["labels"]["job"] == job), {})


@contextmanager
def prometheus_agent(
    directory: Path, release: str, target: str, instance: str, remote: dict[str, str], token: str
) -> Iterator[Agent]:
    """One that scrapes `target` (host:port) as job hypertool. `remote` has url, user, ca_file and perhaps proxy_url."""
    directory.mkdir(parents=True, exist_ok=True)
    token_file, file = directory / "token", directory / "agent.yml"
    token_file.touch(mode=0o600)
    token_file.write_text(token, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    write: dict[str, Any] = {
        "url": remote["url"],
        "basic_auth": {"username": remote["user"], "password_file": str(token_file)},
        "tls_config": {"ca_file": remote["ca_file"]},
        "queue_config": {"batch_send_deadline": "1s", "max_backoff": "1s"},
        "remote_timeout": "3s",
        **({"proxy_url": remote["proxy_url"]} if "proxy_url" in remote else {}),
    }
    agent = Agent(
        f"http://{address}",
        {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [where], "labels": {"instance": instance}}]}
                for job, where in (("hypertool", target), ("prometheus", address))
            ],
            "remote_write": [write],
        },
        token_file,
        file,
    )
    file.write_text(json.dumps(agent.config), encoding="utf-8")
    command = [
        str(prometheus_binaries(release) / "prometheus"),
        "--enable-feature=agent",
        f"--config.file={file}",
        f"--storage.agent.path={directory / 'wal'}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        # What is still queued when a test ends is of no interest.
        "--storage.remote.flush-deadline=1s",
    ]
    with service(command, agent.url, directory / "agent.log"):
        yield agent
