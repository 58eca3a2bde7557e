"""A load in which every sample, span and line has a number, so that what is missing at the other end is known exactly.

Counters are scraped every second, a number is pushed over OTLP every second, spans and lines go out at a rate.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from tests.alloy.collector import Collector
from tests.alloy.journal import JournalWriter
from tests.support.cloud import CloudStandIn

UNIT = "load.service"
T = TypeVar("T")


def slowly(check: Callable[[], T | None]) -> Callable[[], T | None]:
    """The check, made at most once a second: an account costs queries that the load would feel."""
    due = time.monotonic()

    def made() -> T | None:
        nonlocal due
        if time.monotonic() < due:
            return None
        result = check()
        due = time.monotonic() + 1
        return result

    return made


@dataclass
class Account:
    """What of each signal was handed over, and what of it has arrived: by number, with how often."""

    handed_over: dict[str, set[int]] = field(default_factory=dict)
    arrived: dict[str, Counter[int]] = field(default_factory=dict)

    def missing(self, signal: str) -> list[int]:
        """Numbers that never arrived."""
        return sorted(self.handed_over[signal] - set(self.arrived[signal]))

    def repeated(self, signal: str) -> list[int]:
        """Numbers that arrived more than once."""
        return sorted(number for number, count in self.arrived[signal].items() if count > 1)

    def complete(self) -> bool:
        """Nothing is missing of anything."""
        return not any(self.missing(signal) for signal in self.handed_over)

    def summary(self) -> str:
        """One line for people."""
        return ", ".join(
            f"{signal}: {len(numbers)} handed over, {len(self.missing(signal))} missing, "
            f"{len(self.repeated(signal))} repeated"
            for signal, numbers in self.handed_over.items()
        )


class Load:
    """`with Load(collector, journal) as load: ...`; it ends with `finish()` or the block."""

    def __init__(
        self,
        collector: Collector,
        journal: JournalWriter | None,
        series: int = 20,
        spans: float = 20,
        lines: float = 20,
    ) -> None:
        self.run = secrets.token_hex(4)
        self.series = series
        self._collector, self._journal = collector, journal
        self._handed: dict[str, set[int]] = {"samples": set(), "pushed": set(), "spans": set()}
        if journal is not None:
            self._handed["lines"] = set()
        #: When (Unix time) each number was handed over, by signal.
        self.times: dict[str, dict[int, float]] = {signal: {} for signal in self._handed}
        self._ended = threading.Event()
        self._finished, self._finished_at = False, float("inf")
        self._lock = threading.Lock()
        self._tasks = [(self._push_metric, 1.0), (self._push_span, spans)]
        if journal is not None:
            self._tasks.append((self._write_line, lines))

    def __enter__(self) -> Load:
        self._target = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._target.daemon_threads = True
        threading.Thread(target=self._target.serve_forever, args=(0.05,), daemon=True).start()
        target = {
            "targets": [f"127.0.0.1:{self._target.server_address[1]}"],
            "labels": {"job": "load", "run": self.run, "__scrape_interval__": "1s", "__scrape_timeout__": "900ms"},
        }
        # JSON is YAML; the name keeps the file from being read half-written.
        staged = self._collector.targets / f".{self.run}.new"
        staged.write_text(json.dumps([target]), encoding="utf-8")
        staged.rename(self._collector.targets / f"load-{self.run}.yml")
        self._threads = [threading.Thread(target=self._at_rate, args=task, daemon=True) for task in self._tasks]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()
        self._target.shutdown()
        self._target.server_close()

    def finish(self) -> None:
        """Nothing more is handed over; the scraped page is refused from now on."""
        if self._finished:
            return
        self._finished, self._finished_at = True, time.time()
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def handed_over(self, signal: str) -> int:
        """How many so far."""
        with self._lock:
            return len(self._handed[signal])

    def account(self, cloud: CloudStandIn) -> Account:
        """What has arrived at the stand-in so far."""
        with self._lock:
            account = Account({signal: set(numbers) for signal, numbers in self._handed.items()})
        account.handed_over["samples"] -= self._failed_scrapes(cloud)
        account.arrived["samples"] = self._samples(cloud, "load_scrapes_total", self.series)
        account.arrived["pushed"] = self._samples(cloud, "load_pushed", 1)
        account.arrived["spans"] = Counter(
            {
                int(span.span_id, 16): span.count
                for span in cloud.spans()
                if span.resource.get("service.name") == f"load-{self.run}"
            }
        )
        if "lines" in self._handed:
            account.arrived["lines"] = Counter(
                {
                    int(line.text.rpartition(" ")[2]): line.count
                    for line in cloud.lines(unit=UNIT)
                    if line.text.startswith(f"run {self.run} ")
                }
            )
        return account

    def _samples(self, cloud: CloudStandIn, name: str, series: int) -> Counter[int]:
        """Numbers that arrived in every series."""
        rows = cloud.query(f'{name}{{run="{self.run}"}}[1d]')
        values = Counter(number for row in rows for number in {int(float(value)) for _, value in row["values"]})
        return Counter({number: 1 for number, count in values.items() if count == series})

    def _failed_scrapes(self, cloud: CloudStandIn) -> set[int]:
        """Numbers on pages that a starved collector fetched too slowly to take: `up` says so, and nothing was lost."""
        failed = [
            float(when)
            for row in cloud.query(f'up{{job="load",run="{self.run}"}}[1d]')
            for when, value in row["values"]
            if value == "0" and float(when) < self._finished_at
        ]
        return {
            number for number, when in self.times["samples"].items() if any(abs(when - other) < 0.5 for other in failed)
        }

    # What is handed over

    def _at_rate(self, act: Callable[[int], bool], per_second: float) -> None:
        """Once per tick with the next number; a number that is not taken is not counted."""
        started, number = time.monotonic(), 0
        while not self._ended.wait(max(0.0, started + number / per_second - time.monotonic())):
            number += 1
            try:
                taken = act(number)
            except (OSError, urllib.error.URLError):
                taken = False
            if taken:
                self._count(act.__name__, number)

    _SIGNALS = {"_push_metric": "pushed", "_push_span": "spans", "_write_line": "lines", "page": "samples"}  # noqa: RUF012

    def _count(self, what: str, number: int) -> None:
        with self._lock:
            self._handed[self._SIGNALS[what]].add(number)
            self.times[self._SIGNALS[what]][number] = time.time()

    def page(self) -> bytes | None:
        """The scraped page: every series carries the number of the scrape."""
        if self._ended.is_set():
            return None
        with self._lock:
            number = len(self._handed["samples"]) + 1
        self._count("page", number)
        lines = [f'load_scrapes_total{{series="{one}"}} {number}' for one in range(self.series)]
        return ("# TYPE load_scrapes_total counter\n" + "\n".join(lines) + "\n").encode()

    def _push_metric(self, number: int) -> bool:
        point = {"asInt": str(number), "timeUnixNano": str(time.time_ns()), "attributes": [_pair("run", self.run)]}
        return self._post(
            "/v1/metrics",
            {
                "resourceMetrics": [
                    {
                        "resource": {"attributes": [_pair("service.name", f"load-{self.run}")]},
                        "scopeMetrics": [{"metrics": [{"name": "load_pushed", "gauge": {"dataPoints": [point]}}]}],
                    }
                ]
            },
        )

    def _push_span(self, number: int) -> bool:
        now = time.time_ns()
        span = {
            "traceId": secrets.token_hex(16),
            "spanId": f"{number:016x}",
            "name": "load",
            "kind": 1,
            "startTimeUnixNano": str(now),
            "endTimeUnixNano": str(now + 1000),
            "attributes": [_pair("run", self.run), _pair("filler", "x" * 700)],
        }
        return self._post(
            "/v1/traces",
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": [_pair("service.name", f"load-{self.run}")]},
                        "scopeSpans": [{"spans": [span]}],
                    }
                ]
            },
        )

    def _write_line(self, number: int) -> bool:
        assert self._journal is not None
        self._journal.write(f"run {self.run} line {number}", unit=UNIT)
        return True

    def _post(self, path: str, body: dict[str, Any]) -> bool:
        request = urllib.request.Request(
            f"http://{self._collector.listen}:4318{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)


def _pair(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _handler(load: Load) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = load.page()
            self.send_response(200 if page else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler
