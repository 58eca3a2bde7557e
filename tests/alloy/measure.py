"""Figures of a real Alloy with our files on this machine: `python -m tests.alloy.measure [--seconds 60]`.

Time to ready, memory idle and at 1,000 samples/s, bytes of log per sample, memory per byte of queued spans. They are
for the README and for the constants of ansible/filter_plugins/outage_budget.py; no test depends on them.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.alloy.collector import Collector, budget_environment, cloud_environment
from tests.support.alloy_program import MISSING, alloy_program
from tests.support.cloud import CloudStandIn, cloud_stand_in

MIB = 1024 * 1024
SAMPLES = 1000


def memory(pid: int) -> dict[str, float]:
    """MiB by kind, as the kernel counts them; anonymous memory is what the process really needs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        line.split(":")[0]: round(int(line.split()[1]) / 1024, 1)
        for line in lines
        if line.startswith(("VmRSS", "RssAnon"))
    }


def size(directory: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def ready(collector: Collector) -> float:
    """Seconds from start to ready, to a twentieth of one."""
    started = time.monotonic()
    collector.start()
    return time.monotonic() - started


@contextmanager
def page_of_random_values() -> Iterator[str]:
    """host:port of a page whose values do not compress: the worst case for the log."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            lines = [f'random{{series="{one}"}} {random.random()}\n' for one in range(SAMPLES)]
            self.wfile.write("".join(lines).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def queue_spans(collector: Collector, count: int) -> None:
    """Fill the queue with spans of about a kilobyte."""
    now = str(time.time_ns())
    for _ in range(count // 100):
        spans = [
            {
                "traceId": secrets.token_hex(16),
                "spanId": secrets.token_hex(8),
                "name": "chat",
                "kind": 1,
                "startTimeUnixNano": now,
                "endTimeUnixNano": now,
                "attributes": [
                    {"key": f"gen_ai.key_{number}", "value": {"stringValue": secrets.token_hex(24)}}
                    for number in range(12)
                ],
            }
            for _ in range(100)
        ]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
        request = urllib.request.Request(
            f"http://{collector.listen}:4318/v1/traces", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30):
            pass


def measure(collector: Collector, cloud: CloudStandIn, seconds: float) -> None:
    """Print all figures."""
    collector.environment |= {"HYPERTOOL_ALLOY_SCRAPE_INTERVAL": "15s", **budget_environment("8h")}
    print(f"ready after {ready(collector):.1f} s")
    time.sleep(seconds)
    print(f"idle after {seconds:g} s: {memory(collector.pid)} MiB")

    before = collector.metric("prometheus_remote_write_wal_samples_appended_total")
    log = collector.directory / "data" / "prometheus.remote_write.destination"
    log_before = size(log)
    with page_of_random_values() as address:
        (collector.targets / "random.yml").write_text(
            json.dumps([{"targets": [address], "labels": {"__scrape_interval__": "1s", "__scrape_timeout__": "1s"}}])
        )
        time.sleep(seconds)
        appended = collector.metric("prometheus_remote_write_wal_samples_appended_total") - before
        print(f"at {appended / seconds:.0f} samples/s for {seconds:g} s: {memory(collector.pid)} MiB")
        print(f"log: {(size(log) - log_before) / appended:.1f} bytes a sample")
    totals = {
        name: collector.metric(f"prometheus_remote_storage_{name}_total")
        for name in ("samples", "samples_failed", "samples_retried")
    }
    print(
        f"samples sent {totals['samples']:.0f}, failed {totals['samples_failed']:.0f}, "
        f"retried {totals['samples_retried']:.0f}"
    )

    cloud.fault("otlp", "503")
    before_spans = memory(collector.pid)["RssAnon"]
    queue_spans(collector, 15000)
    queued = collector.metric("otelcol_exporter_queue_size")
    after = memory(collector.pid)["RssAnon"]
    print(
        f"{queued / MIB:.1f} MiB of spans in the queue: {before_spans} -> {after} MiB anonymous, "
        f"{(after - before_spans) * MIB / queued:.1f} bytes a byte"
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60, help="how long each phase lasts")
    seconds = parser.parse_args().seconds
    program = alloy_program()
    if program is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as name, cloud_stand_in(Path(name) / "cloud") as cloud:
        token = Path(name) / "token"
        token.write_text(cloud.token)
        collector = Collector(program, Path(name) / "collector", "grafana_cloud", cloud_environment(cloud, token))
        try:
            measure(collector, cloud, seconds)
        finally:
            collector.stop()


if __name__ == "__main__":
    main()
