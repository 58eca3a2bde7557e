"""The Docker Engine of a set of hosts, as a crash leaves it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.support.box import Box, until


def kill_engine(box: Box) -> None:
    """Kill dockerd; its hosts, their bridge and its record stay behind."""
    pid = json.loads((box.directory / "engine.json").read_text(encoding="utf-8"))["pid"]
    assert _is_dockerd(pid, box)
    os.kill(pid, signal.SIGKILL)
    until("dockerd to be gone", 60, lambda: None if _is_dockerd(pid, box) else True)


def _is_dockerd(pid: int, box: Box) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return command.startswith("dockerd\0") and f"{box.directory}/" in command
