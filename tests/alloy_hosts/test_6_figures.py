"""What a real Alloy takes as a service of an installed host; a table for alloy/README.md, without limits.

ALLOY_BIN=/path/to/alloy python -m pytest tests/alloy_hosts/test_6_figures.py -m benchmark -s
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import REAL
from tests.support.alloy_program import MISSING
from tests.support.box import until
from tests.support.fleet import ask

pytestmark = [pytest.mark.host, pytest.mark.benchmark, pytest.mark.skipif(not REAL, reason=MISSING)]

PHASE_SECONDS = 60.0
SAMPLES = 1000
PROBE = Path(__file__).resolve().parents[1] / "benchmarks" / "stack_probe.py"
# Run on the host: values that do not compress, the worst case for the log.
PAGE = f"""
import http.server, random
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        for one in range({SAMPLES}):
            self.wfile.write(b'random{{series="%d"}} %r\\n' % (one, random.random()))
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9555), Page).serve_forever()
"""


def memory(host: Host) -> str:
    """By control group and anonymous, in MiB."""
    shown = dict(
        line.split("=") for line in host.check_output("systemctl show alloy -p MemoryCurrent -p MainPID").splitlines()
    )
    anonymous = int(host.check_output(f"awk '/^RssAnon/ {{print $2}}' /proc/{shown['MainPID']}/status"))
    return f"{int(shown['MemoryCurrent']) / 2**20:.0f} MiB by control group, {anonymous / 1024:.0f} MiB anonymous"


def counted(host: Host, name: str) -> float:
    """A counter of Alloy's own, over all of its labels."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", ask(host, "http://127.0.0.1:12345/metrics"), re.MULTILINE)
    return sum(map(float, found))


def go_on() -> None:
    end = time.monotonic() + PHASE_SECONDS
    until("the phase to end", PHASE_SECONDS + 5, lambda: time.monotonic() > end or None)


def test_figures(host: Host, name: str) -> None:
    host.check_output("systemctl stop alloy")
    ready = host.check_output(
        "systemctl start --no-block alloy && python3 -c %s ready http://127.0.0.1:12345/-/ready",
        PROBE.read_text(encoding="utf-8"),
    )
    print(f"\n{name}: ready {float(ready):.2f} s after systemctl start")
    print(f"at once: {memory(host)}")
    go_on()
    print(f"idle after {PHASE_SECONDS:.0f} s: {memory(host)}")
    target = json.dumps(
        [{"targets": ["127.0.0.1:9555"], "labels": {"__scrape_interval__": "1s", "__scrape_timeout__": "1s"}}]
    )
    host.check_output("systemd-run --quiet --collect --unit=random-page python3 -c %s", PAGE)
    try:
        host.check_output("printf %%s %s > /etc/alloy/targets/random.yml", target)
        appended = "prometheus_remote_write_wal_samples_appended_total"
        idle = counted(host, appended)
        until("the page to be scraped", 60, lambda: counted(host, appended) > idle + 2 * SAMPLES or None)
        before = counted(host, appended)
        go_on()
        rate = (counted(host, appended) - before) / PHASE_SECONDS
        print(f"at {rate:.0f} samples/s for {PHASE_SECONDS:.0f} s: {memory(host)}")
        totals = {
            kind: counted(host, f"prometheus_remote_storage_samples{kind}_total")
            for kind in ("", "_failed", "_retried")
        }
        print(f"samples sent {totals['']:.0f}, failed {totals['_failed']:.0f}, retried {totals['_retried']:.0f}")
        assert rate > 0.9 * SAMPLES
    finally:
        host.check_output("rm -f /etc/alloy/targets/random.yml")
        host.run("systemctl stop random-page")
