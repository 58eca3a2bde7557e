"""Mistakes in declared commands that show only at a run: a gate that no shell takes, a misspelt placeholder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from difflib import get_close_matches

from ..domain.fields import Path, Problem, shown
from ..domain.workflows import Workflow
from .agent_commands import PLACEHOLDERS

_SECONDS = 5
_BRACED = re.compile(r"\{([A-Za-z_]{2,20})\}")


def command_problems(workflow: Workflow) -> Iterator[Problem]:
    """Every such mistake of a workflow; paths begin at its table."""
    if workflow.agent is not None:
        yield from _placeholders(("agent",), workflow.agent)
    for place, stage in enumerate(workflow.stages):
        here: Path = ("stages", place)
        if stage.agent is not None:
            yield from _placeholders((*here, "agent"), stage.agent)
        if stage.gate is not None:
            yield from _gate((*here, "gate"), stage.gate)


def _placeholders(where: Path, line: str) -> Iterator[Problem]:
    for name in _BRACED.findall(line):
        close = get_close_matches(name.lower(), PLACEHOLDERS, n=1, cutoff=0.7)
        if name not in PLACEHOLDERS and close:
            reason = f"agent = {shown(line)}: {{{name}}} is no placeholder"
            yield Problem(where, reason, f"did you mean {{{close[0]}}}?")


def _gate(where: Path, command: str) -> Iterator[Problem]:
    """What the shell says that runs it; with `-n` it reads the command and runs nothing."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-n", "-c", command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode:
        said = done.stderr.strip().rpartition(": ")[2] or f"exit code {done.returncode}"
        yield Problem(where, f"gate = {shown(command)}: {' '.join(said.split())}", "write it as /bin/sh would take it")
