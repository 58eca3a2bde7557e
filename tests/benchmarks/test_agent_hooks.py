"""What an agent waits for at each of its steps: the hook, with a long session behind it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_CALLS
from tests.agents import homes
from tests.agents.hooking import HYPERTOOL, event
from tests.agents.ledgers import counted
from tests.benchmarks.rounds import measure, row

pytestmark = pytest.mark.benchmark
# `python -c "import prometheus_client"` on an idle machine with two cores, the yardstick where others are at work: wall
# and processor time.
CLIENT_IMPORT_MS = 69
CLIENT_PROCESSOR_MS = 67
SESSION_BYTES = 50 << 20


def _process(command: list[str], given: bytes) -> Callable[[], object]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(command, input=given, stdout=subprocess.DEVNULL, env=environment, check=True)


def _processor() -> float:
    """Seconds that the processes which this one waited for have had of a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("what", "clock", "client_ms", "limit_ms"),
    [("wall", time.perf_counter, CLIENT_IMPORT_MS, 40), ("processor", _processor, CLIENT_PROCESSOR_MS, 30)],
)
def test_hook_takes_no_time(
    what: str,
    clock: Callable[[], float],
    client_ms: int,
    limit_ms: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a session of 50 MB that has grown by a call, the hook takes 40 ms, 30 of a processor, on an idle machine."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    path = homes.install(home, "claude-code")[0]
    given = json.dumps(event("claude-code", home, "PreToolUse")).encode()
    line = path.read_bytes().splitlines(keepends=True)[0]
    other = b'{"type": "user", "message": "' + b"x" * 10_000 + b'"}\n'
    with open(path, "ab") as file:
        while file.tell() < SESSION_BYTES:
            file.write(other)
    calls = 0

    def grown() -> object:
        nonlocal calls
        calls += 1
        with open(path, "ab") as file:
            file.write(line.replace(b"fake000001", b"more%06d" % calls))
        return hook()

    hook = _process([str(HYPERTOOL), "hook", "claude-code", "PreToolUse"], given)
    client = _process([sys.executable, "-c", "import prometheus_client"], b"")
    found = measure({"client": client, "hook": grown}, 25, clock=clock)
    idle = min(found["hook"].idle * 1e3, found["hook"].ratio(found["client"]) * client_ms)
    row(
        "hypertool hook, a session of 50 MB",
        f"{found['hook'].idle * 1e3:.0f} ms {what}",
        f"{found['client'].idle * 1e3:.0f} ms, import prometheus_client",
        f"idle {idle:.0f} <= {limit_ms} ms",
    )
    assert counted(AGENT_CALLS.key) == 6 + calls
    assert idle <= limit_ms
