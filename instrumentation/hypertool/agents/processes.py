"""The coding agent that this process runs in, from /proc: for agents whose shells do not name their session."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..runtime.light_typing import NamedTuple

_COMMANDS = {"gemini": "gemini-cli", "cline": "cline", "auggie": "auggie"}
_INTERPRETERS = ("node", "bun")
_DEPTH = 64
_HEAD_BYTES = 65_536
# The kernel gives a process's start to a hundredth of a second, and the clock may have been set meanwhile.
_SLACK_SECONDS = 2.0


class AgentProcess(NamedTuple):
    """A running agent: its process id, start (seconds since the epoch), and working directory.

    `ticks` is the start as the kernel counts it, which the clock does not change.
    """

    agent: str
    process: int
    started: float
    directory: str
    ticks: int


def agent_above() -> AgentProcess | None:
    """The nearest agent among the processes above this one, or None."""
    return next((found for found in map(_agent, _above()) if found is not None), None)


def _above() -> Iterator[int]:
    process = os.getppid()
    for _ in range(_DEPTH):
        if process <= 1:
            return
        yield process
        try:
            process = int(_stat(process)[1])
        except (OSError, ValueError, IndexError):
            return


def _agent(process: int) -> AgentProcess | None:
    """The agent that this process is, if it is one of this user's."""
    try:
        if os.stat(f"/proc/{process}").st_uid != os.geteuid():
            return None
        with open(f"/proc/{process}/cmdline", "rb") as file:
            words = [os.path.basename(word) for word in os.fsdecode(file.read(_HEAD_BYTES)).split("\0")]
        if words[0] in _INTERPRETERS:
            words = [word for word in words[1:] if not word.startswith("-")]
        if not words or words[0] not in _COMMANDS:
            return None
        ticks = int(_stat(process)[19])
        with open("/proc/stat", "rb") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
        started = boot + ticks / os.sysconf("SC_CLK_TCK") - _SLACK_SECONDS
        return AgentProcess(_COMMANDS[words[0]], process, started, os.readlink(f"/proc/{process}/cwd"), ticks)
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def start_of(process: int) -> int:
    """When a process started, in the kernel's clock ticks; 0 if it is gone."""
    try:
        return int(_stat(process)[19])
    except (OSError, ValueError, IndexError):
        return 0


def _stat(process: int) -> list[bytes]:
    with open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
