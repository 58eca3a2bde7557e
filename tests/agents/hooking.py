"""Calls the hook as agents do: a process of its own, the event's data on its input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.agents.homes import RECORDED

HYPERTOOL = Path(sys.executable).with_name("hypertool")
_RECORDINGS = {
    "claude-code": "claude-code-2.1.332",
    "codex": "codex-0.169.0",
    "gemini-cli": "gemini-cli-0.61.0",
    "copilot-cli": "copilot-cli-1.0.102",
    "cline": "cline-cli-3.0.65",
    "auggie": "auggie-0.36.0",
    "qwen-code": "qwen-code-0.24.4",
}


def recorded_events(agent: str, home: Path) -> list[tuple[str, dict[str, Any]]]:
    """The events of the recorded session with what the agent gave its hooks; its home is this one."""
    raw = (
        (RECORDED / f"{_RECORDINGS[agent]}.hooks.jsonl").read_text().replace("/home/ann/project", str(home / "project"))
    )
    (home / "project" / ".git").mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in raw.replace("/home/ann", str(home)).splitlines()]
    return [(line["argv"][0], line["stdin"]) for line in lines]


def event(agent: str, home: Path, name: str) -> dict[str, Any]:
    """What the agent gave its hook at the first event of that name."""
    return next(given for found, given in recorded_events(agent, home) if found == name)


def call_hook(
    agent: str, name: str, given: dict[str, Any] | bytes, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`hypertool hook AGENT EVENT` with that input."""
    raw = given if isinstance(given, bytes) else json.dumps(given).encode()
    done = subprocess.run(
        [str(HYPERTOOL), "hook", agent, name],
        input=raw,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def spend(persona: str, tokens: int) -> None:
    """A program of its own, which reads the configuration as it is now, uses that many tokens."""
    program = (
        f"import hypertool; hypertool.get_persona_metrics().record_token_usage({persona!r}, 'default', 'm', {tokens})"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
