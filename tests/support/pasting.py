"""Blocks of the runbook as a person at night runs them: pasted into a root shell of a host."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from testinfra.host import Host

from tests.rules.runbook_blocks import PLACEHOLDERS, Block


def pasted(host: Host, blocks: Iterable[Block]) -> list[str]:
    """What went wrong, block by block; empty if all worked."""
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in PLACEHOLDERS.items())
    problems = []
    for block in blocks:
        script = f"set -euo pipefail; export {variables}\n{block.text}"
        done = host.run(f"cd /root && timeout 60 bash -c {shlex.quote(script)}")
        if done.rc:
            said = done.stdout[-400:] + done.stderr[-800:]
            problems.append(f"{block.id}: exit {done.rc}\n{block.text}\n{said}")
    return problems
