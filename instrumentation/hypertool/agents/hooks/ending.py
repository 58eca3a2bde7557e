"""Ends an agent that no answer of a hook stops: its process gets SIGINT, like Ctrl-C, and SIGTERM if it stays."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Sequence

from ...runtime.light_modules import signal
from ..processes import AgentProcess, agent_above, start_of
from .events import Event

_GRACE_SECONDS = 1.0


def process_of(event: Event) -> AgentProcess | None:
    """The agent's process, which started this hook; None where it cannot be found."""
    found = agent_above()
    return found if found is not None and found.agent == event.agent else None


def end(agent: AgentProcess, why: str) -> None:
    """End the agent, then write `why` where it wrote its errors. Raises OSError if it may not be ended."""
    errors = _errors(agent.process)
    process = os.pidfd_open(agent.process)
    try:
        if start_of(agent.process) == agent.ticks:  # that process, and not a later one with its number
            signal_until_gone(process, (signal.SIGINT, signal.SIGTERM), _GRACE_SECONDS)
    finally:
        os.close(process)
    if errors is not None:
        with contextlib.suppress(OSError), open(errors, "wb", buffering=0) as file:
            file.write(f"\n{why}\n".encode())


def signal_until_gone(process: int, numbers: Sequence[int], seconds: float) -> None:
    """Send one signal after the other to the process with that descriptor, until it has ended."""
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)
        if select.select([process], [], [], seconds)[0]:
            return


def _errors(process: int) -> int | None:
    """The agent's error stream, opened before it ends; None where it cannot be: a socket, or nothing that reads."""
    with contextlib.suppress(OSError):
        return os.open(f"/proc/{process}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK)
    return None
