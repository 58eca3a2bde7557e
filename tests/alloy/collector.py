"""A real Alloy with the project's own files, as a plain process on loopback."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.loaded import loaded

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "alloy"
COMMON = ("metrics", "host", "self", "web", "kept", "otlp", "delta_refused", "logs")
PASSWORD = "the-password"
#: The flags of the unit on a host; validation has to be told the same stability.
STABILITY = "--stability.level=generally-available"
FLAGS = ("--disable-reporting", "--server.http.enable-pprof=false", "--server.http.disable-support-bundle")


def budget_environment(budget: str) -> dict[str, str]:
    """The variables that follow from the outage budget, by the filter that the playbook uses."""
    module = loaded(ROOT / "ansible/filter_plugins/outage_budget.py")
    environment: dict[str, str] = module.outage_settings(budget)["environment"]
    return environment


def cloud_environment(cloud: CloudStandIn, token_file: Path) -> dict[str, str]:
    """The variables that name a destination of Grafana Cloud's kind."""
    return {
        "HYPERTOOL_ALLOY_METRICS_URL": cloud.metrics_url,
        "HYPERTOOL_ALLOY_METRICS_USER": cloud.metrics_user,
        "HYPERTOOL_ALLOY_LOGS_URL": cloud.logs_url,
        "HYPERTOOL_ALLOY_LOGS_USER": cloud.logs_user,
        "HYPERTOOL_ALLOY_OTLP_URL": cloud.otlp_url,
        "HYPERTOOL_ALLOY_OTLP_USER": cloud.otlp_user,
        "HYPERTOOL_ALLOY_TOKEN_FILE": str(token_file),
        "HYPERTOOL_ALLOY_CA_FILE": str(cloud.ca_file),
    }


class Collector:
    """Its configuration, storage, targets and journal lie in `directory`; its OTLP ports on an address of its own."""

    def __init__(self, program: Path, directory: Path, destination: str, environment: Mapping[str, str]) -> None:
        self.program, self.directory = program, directory
        self.configuration, self.targets, self.journal = (directory / name for name in ("conf", "targets", "journal"))
        for path in (self.configuration, self.targets, self.journal):
            path.mkdir(parents=True)
        for name in (*COMMON, f"destination_{destination}"):
            shutil.copy(FILES / f"{name}.alloy", self.configuration)
        self.log = directory / "alloy.log"
        self.password_file = directory / "web_password"
        self.password_file.write_text(PASSWORD + "\n", encoding="utf-8")
        self.stability = STABILITY
        self.listen = _own_address()
        self.instance = "test-host"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "HYPERTOOL_ALLOY_INSTANCE": self.instance,
            "HYPERTOOL_ALLOY_TARGETS": str(self.targets / "*.yml"),
            "HYPERTOOL_ALLOY_SCRAPE_INTERVAL": "2s",
            "HYPERTOOL_ALLOY_OWN_INTERVAL": "5s",
            "HYPERTOOL_ALLOY_MORE_METRICS": ".*",
            "HYPERTOOL_ALLOY_LISTEN": self.listen,
            "HYPERTOOL_ALLOY_WEB_PASSWORD_FILE": str(self.password_file),
            "HYPERTOOL_ALLOY_UNITS": r"load\.service|hypertool-.*\.service",
            "HYPERTOOL_ALLOY_JOURNAL": str(self.journal),
            **budget_environment("60s"),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "the collector is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it says it is ready."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(self.program),
                    "run",
                    f"--server.http.listen-addr=127.0.0.1:{port}",
                    self.stability,
                    *FLAGS,
                    f"--storage.path={self.directory / 'data'}",
                    str(self.configuration),
                ],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )
        until("Alloy to be ready", 60, self._ready, self.said)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by default the way systemd does: 20 s for a good end, then the hard one."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def reload(self) -> tuple[int, str]:
        """Status and text of a reload's verdict."""
        return self.http("/-/reload", "POST")

    def unhealthy(self) -> dict[str, str]:
        """Components that are not healthy, with what they say."""
        status, text = self.http("/api/v0/web/components")
        assert status == 200, text
        return {
            component["localID"]: component["health"]["message"]
            for component in json.loads(text)
            if component["health"]["state"] != "healthy"
        }

    def components(self) -> set[str]:
        """Names of all components that run."""
        return {component["localID"] for component in json.loads(self.http("/api/v0/web/components")[1])}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0 where there is none."""
        status, text = self.http("/metrics")
        assert status == 200, text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def validate(self) -> subprocess.CompletedProcess[str]:
        """What `alloy validate` says of the configuration."""
        return subprocess.run(
            [str(self.program), "validate", self.stability, str(self.configuration)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def _ready(self) -> bool | None:
        assert self._process is not None
        assert self._process.poll() is None, f"Alloy ended with {self._process.returncode}:\n{self.said()}"
        try:
            return self.http("/-/ready")[0] == 200 or None
        except OSError:
            return None

    def said(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:]

    def http(self, path: str, method: str = "GET", password: str | None = "the current one") -> tuple[int, str]:
        """Status and text of a page, by default with the password that is in the file now."""
        headers = {}
        if password == "the current one":
            password = self.password_file.read_text(encoding="utf-8").strip()
        if password is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"hypertool:{password}".encode()).decode()
        request: Any = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@contextmanager
def running(collector: Collector) -> Iterator[Collector]:
    """Started, and ended with the block; the log is printed for a test that fails."""
    try:
        collector.start()
        yield collector
    finally:
        collector.stop(signal.SIGKILL)
        print(f"--- the end of Alloy's log\n{collector.said()}")


def _own_address() -> str:
    """A loopback address on which both OTLP ports are free; they cannot be chosen, so the address is."""
    for _ in range(100):
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        if all(_bindable(address, port) for port in (4317, 4318)):
            return address
    raise OSError("no loopback address with free OTLP ports (4317, 4318) in 100 tries")


def _bindable(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
