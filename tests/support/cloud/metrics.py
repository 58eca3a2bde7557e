"""The stand-in's metrics service: a real Prometheus with the remote-write receiver, behind the TLS front."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.box import until
from tests.support.debian_binaries import prometheus_binaries

from .front import Answer, Request

RELEASE = "trixie"
PUSH, API = "/api/prom/push", "/api/prom/api/v1/"
_PASSED_ON = ("content-type", "content-encoding", "x-prometheus-remote-write-version")
_PASSED_BACK = ("Content-Type", "X-Prometheus-Remote-Write-Samples-Written")
# Grafana Cloud takes samples that are out of order by up to this; without it a retry of what was stored is refused.
_CONFIG = "storage:\n  tsdb:\n    out_of_order_time_window: 2h\n"


class Metrics:
    """A Prometheus on loopback that scrapes nothing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yml"
        config.write_text(_CONFIG, encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._log = directory / "prometheus.log"
        with self._log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [
                    str(prometheus_binaries(RELEASE) / "prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--web.enable-remote-write-receiver",
                    "--enable-feature=exemplar-storage",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until("Prometheus to be ready", 60, self._ready, self._said)
        except BaseException:
            self.close()
            raise

    def query(self, expression: str, **parameters: str) -> list[dict[str, Any]]:
        """The rows of an instant query, or of a range query where start, end and step are given."""
        kind = "query_range" if "step" in parameters else "query"
        words = urllib.parse.urlencode({"query": expression, **parameters})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{kind}?{words}", timeout=30) as answer:
                rows: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"Prometheus refused {expression!r}: {refused.read().decode()}") from refused
        return rows

    def serve(self, request: Request) -> Answer:
        """Pass a push or a query on to Prometheus."""
        if request.path == PUSH and request.method == "POST":
            path = "/api/v1/write"
        elif request.path.startswith(API):
            path = f"/api/v1/{request.path.removeprefix(API)}?{request.query}"
        else:
            return Answer(404, b"404 page not found\n")
        headers = {key: value for key, value in request.headers.items() if key in _PASSED_ON}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(request.method, path, request.body or None, headers)
            answer = connection.getresponse()
            body = answer.read()
            back = {key: value for key in _PASSED_BACK if (value := answer.getheader(key)) is not None}
            return Answer(answer.status, body, back)
        except (OSError, http.client.HTTPException) as error:
            return Answer(502, f"the Prometheus behind the stand-in does not answer: {error}\n".encode())
        finally:
            connection.close()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> bool | None:
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus ended with {self._process.returncode}:\n{self._said()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2):
                return True
        except OSError:
            return None

    def _said(self) -> str:
        return self._log.read_text()[-2000:]
