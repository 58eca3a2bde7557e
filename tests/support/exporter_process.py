"""The real exporter, as a process of a test's host, and what it serves."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from tests.support.hypertool_host import Host, wait_until

_EXPORTER = "import sys; from hypertool.service.exporter import run_exporter; sys.exit(run_exporter())"


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Exporter:
    """`start` it on a port of its own; `kill -9` and `start` again is a crash."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self.process = self.host.background(
            [sys.executable, "-c", _EXPORTER],
            {"HYPERTOOL_LISTEN": f"127.0.0.1:{self.port}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_until(self.answers, "the exporter to answer", 20)

    def answers(self) -> bool:
        """Whether a scrape works."""
        assert self.process is not None
        assert self.process.poll() is None, f"the exporter ended: {self.process.communicate()[1]}"
        try:
            self.scrape()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=60)

    def stop(self) -> str:
        """SIGTERM; returns what it wrote to stderr."""
        assert self.process is not None
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]

    def text(self) -> str:
        """One scrape."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    def scrape(self) -> dict[str, float]:
        """Every sample of one scrape by its series, such as `name{label="value"}` with the labels sorted."""
        found = {}
        for metric in text_string_to_metric_families(self.text()):
            for sample in metric.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def sum(self, name: str) -> float:
        """The sum over all series of a metric."""
        return sum(value for series, value in self.scrape().items() if series.split("{")[0] == name)


@contextlib.contextmanager
def running(host: Host) -> Iterator[Exporter]:
    """An exporter that answers, stopped afterwards."""
    exporter = Exporter(host)
    exporter.start()
    try:
        yield exporter
    finally:
        if exporter.process is not None and exporter.process.poll() is None:
            exporter.stop()


def counters(samples: dict[str, float]) -> dict[str, float]:
    """The samples that may never decrease."""
    return {
        series: value
        for series, value in samples.items()
        if series.split("{")[0].endswith(("_total", "_sum", "_count", "_bucket"))
    }


def decreased(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Series of `counters` that went down or away."""
    later = counters(after)
    return [
        f"{series}: {value} -> {later.get(series)}"
        for series, value in counters(before).items()
        if later.get(series, -1.0) < value
    ]
