"""Ends an agent that no answer of a hook stops: its process gets SIGINT, like Ctrl-C, and SIGTERM if it stays."""

from __future__ import annotations

import contextlib
import os

from ...runtime.light_modules import signal
from ..processes import AgentProcess, agent_above, end
from .events import Event

_GRACE_SECONDS = 1.0


def process_of(event: Event) -> AgentProcess | None:
    """The agent's process, which started this hook; None where it cannot be found."""
    found = agent_above()
    return found if found is not None and found.agent == event.agent else None


def end_agent(agent: AgentProcess, why: str) -> None:
    """End the agent, then write `why` where it wrote its errors."""
    signal.setitimer(signal.ITIMER_REAL, 3 * _GRACE_SECONDS)  # The hook's deadline must not come between two signals.
    errors = _errors(agent.process)
    end([(agent.process, agent.ticks)], (signal.SIGINT, signal.SIGTERM), _GRACE_SECONDS)
    if errors is not None:
        with contextlib.suppress(OSError), open(errors, "wb", buffering=0) as file:
            file.write(f"\n{why}\n".encode())


def _errors(process: int) -> int | None:
    """The agent's error stream, opened before it ends; None where it cannot be: a socket, or nothing that reads."""
    with contextlib.suppress(OSError):
        return os.open(f"/proc/{process}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK)
    return None
