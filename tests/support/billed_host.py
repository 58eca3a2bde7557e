"""A host's own pages for tests of what is billed: our exporter after every declared workflow, and node_exporter."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.box import free_port, until
from tests.support.hypertool_host import Host

#: What a host with the default pipeline was billed at commit 645427a, and the most that it may be now.
BILLED_BEFORE, BILLED_AT_MOST = 8224, 1000
WORKFLOWS = ("package_release", "feature_implementation", "bug_fix", "incident_response")


def run_workflow(host: Host, name: str) -> None:
    """Run a workflow there to its end."""
    done = host.hypertool("workflow", name)
    assert done.returncode == 0, done.stderr


@contextmanager
def exporter(folder: Path) -> Iterator[tuple[Host, str]]:
    """A host that has run each workflow, and the address of its exporter."""
    host = Host(folder)
    for workflow in WORKFLOWS:
        run_workflow(host, workflow)
    address = f"127.0.0.1:{free_port()}"
    process = host.background(host.command("exporter"), {"HYPERTOOL_LISTEN": address})

    def answers() -> bool | None:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
                return b"hypertool_workflow_quality_gate_total" in page.read()
        except OSError:
            return None

    try:
        until("the exporter to serve its metrics", 60, answers)
        yield host, address
    finally:
        process.terminate()
        process.wait(15)
