"""The coding agent that this process runs in, from /proc: whose shell may not name its session; and its end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

from ..runtime.light_modules import signal
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


def end(processes: Sequence[tuple[int, int]], numbers: Sequence[int], seconds: float) -> None:
    """Send one signal after the other to these processes (id and start), `seconds` apart, until all have ended."""
    import select

    left = [found for process, start in processes if (found := _opened(process, start)) is not None]
    every = list(left)
    try:
        for number in numbers:
            for process in left:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(process, number)
            until = time.monotonic() + seconds
            while left and time.monotonic() < until:
                gone = select.select(left, [], [], until - time.monotonic())[0]
                left = [process for process in left if process not in gone]
    finally:
        for process in every:
            os.close(process)


def _opened(process: int, start: int) -> int | None:
    """A descriptor of that process, and not of a later one with its number."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(process)
        if start_of(process) == start:
            return descriptor
        os.close(descriptor)
    return None


def family(process: int) -> list[tuple[int, int]]:
    """That process and those below it, as far as they are in this process's group: what Ctrl-C would reach of them."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = _stat(int(name))
                if int(stat[2]) == os.getpgrp():
                    below.setdefault(int(stat[1]), []).append(int(name))
    found = [process]
    for one in found:
        found += below.get(one, ())
    return [(one, start_of(one)) for one in found]


def _stat(process: int) -> list[bytes]:
    with open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
