"""A stand-in for Grafana Cloud: metrics (a real Prometheus), logs, OTLP and Tempo queries over TLS with basic auth.

It proves what a collector sends and how it takes refusals and outages; it is not Grafana Cloud, and is never shipped.
Every service has a port of its own, a user id of its own and goes wrong on its own (`fault`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .authority import Authority
from .front import FAULTS, Answer, Front, Request
from .logs import Line, Logs
from .metrics import Metrics
from .traces import Span, Traces

__all__ = ["FAULTS", "Authority", "CloudStandIn", "Line", "Span", "cloud_stand_in"]

WRITE = frozenset({"metrics:write", "logs:write", "traces:write"})
READ = frozenset({"metrics:read", "logs:read", "traces:read"})


class CloudStandIn:
    """`tokens` are accepted: add one to rotate, discard one to revoke. They may write, unless `scopes` says else."""

    metrics_user, logs_user, otlp_user, traces_user = "1001", "2002", "3003", "4004"

    def __init__(self, directory: Path, address: str, closing: ExitStack) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.token = "glc_stand_in_write_0123456789abcdef"
        self.read_token = "glc_stand_in_read_0123456789abcdef"
        self.tokens = {self.token, self.read_token}
        self.scopes: dict[str, frozenset[str]] = {self.read_token: READ}
        self.authority = Authority(directory)
        self.ca_file = self.authority.ca_file
        self._metrics, self._logs, self._traces = Metrics(directory / "prometheus"), Logs(), Traces()
        closing.callback(self._metrics.close)
        certificate = self.authority.certificate("server", ["127.0.0.1", "localhost", *{address} - {"127.0.0.1"}])
        self.fronts: dict[str, Front] = {}
        services: tuple[tuple[str, str, Callable[[Request], Answer], str], ...] = (
            ("metrics", self.metrics_user, self._metrics.serve, "metrics"),
            ("logs", self.logs_user, self._logs.serve, "logs"),
            ("otlp", self.otlp_user, self._traces.export, "traces"),
            ("traces", self.traces_user, self._traces.query, "traces"),
        )
        for name, user, serve, signal in services:
            front = Front(name, address, certificate, self._scopes_of(user), serve, _needs(signal))
            closing.callback(front.close)
            self.fronts[name] = front
        self.metrics_url = self.fronts["metrics"].url + "/api/prom/push"
        self.logs_url = self.fronts["logs"].url + "/loki/api/v1/push"
        self.otlp_url = self.fronts["otlp"].url + "/otlp"
        self.traces_url = self.fronts["traces"].url + "/tempo"

    def fault(self, service: str, kind: str | None) -> None:
        """metrics, logs, otlp, traces or all goes wrong in one of the ways of FAULTS; None: is well again."""
        for front in self.fronts.values() if service == "all" else (self.fronts[service],):
            front.fault(kind)

    def query(self, promql: str, **parameters: str) -> list[dict[str, Any]]:
        """Rows of a query of the Prometheus behind the front, whatever the fault; with start, end, step of a range."""
        return self._metrics.query(promql, **parameters)

    def lines(self, **labels: str) -> list[Line]:
        """Log lines received so far, those with these labels, oldest first; a line that came twice has count 2."""
        return self._logs.lines(**labels)

    def spans(self) -> list[Span]:
        """Spans received so far; one that came twice has count 2."""
        return self._traces.spans()

    def requests(self, service: str) -> Counter[int]:
        """Answers given so far by HTTP status; connections refused or left unanswered are not in it."""
        return Counter(self.fronts[service].counts)

    def environment(self) -> dict[str, str]:
        """The environment variables that name it, without the token."""
        return {
            "GRAFANA_CLOUD_METRICS_URL": self.metrics_url,
            "GRAFANA_CLOUD_METRICS_USER": self.metrics_user,
            "GRAFANA_CLOUD_LOGS_URL": self.logs_url,
            "GRAFANA_CLOUD_LOGS_USER": self.logs_user,
            "GRAFANA_CLOUD_OTLP_URL": self.otlp_url,
            "GRAFANA_CLOUD_OTLP_USER": self.otlp_user,
            "GRAFANA_CLOUD_TRACES_URL": self.traces_url,
            "GRAFANA_CLOUD_TRACES_USER": self.traces_user,
        }

    def _scopes_of(self, expected: str) -> Callable[[str, str], frozenset[str] | None]:
        def scopes(user: str, token: str) -> frozenset[str] | None:
            return self.scopes.get(token, WRITE) if user == expected and token in self.tokens else None

        return scopes


def _needs(signal: str) -> Callable[[Request], str]:
    def scope(request: Request) -> str:
        writes = request.path.endswith(("/push", "/v1/traces"))
        return f"{signal}:{'write' if writes else 'read'}"

    return scope


@contextmanager
def cloud_stand_in(directory: Path, address: str = "127.0.0.1") -> Iterator[CloudStandIn]:
    """One that lives as long as the block and keeps its files in `directory`; raises BinariesUnavailable."""
    with ExitStack() as closing:
        yield CloudStandIn(directory, address, closing)
