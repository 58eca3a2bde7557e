"""The coding agent that this process runs in, from /proc: for agents whose shells do not name their session."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .calls import mapping, text
from .reading.gemini_cli import projects
from .reading.sources import directories, files_in, open_source

_COMMANDS = {"gemini": "gemini-cli", "cline": "cline"}
_INTERPRETERS = ("node", "bun")
_DEPTH = 64
_HEAD_BYTES = 65_536
# The kernel gives a process's start to a hundredth of a second, and the clock may have been set meanwhile.
_SLACK_SECONDS = 2.0


class AgentProcess(NamedTuple):
    """A running agent: its process id, start (seconds since the epoch), and working directory."""

    agent: str
    process: int
    started: float
    directory: str


def session_above(home: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Agent and id of the session whose process is above this one; None if there is none, or no telling which."""
    for process in _above():
        found = _agent(process)
        if found is not None:
            session = (_cline if found.agent == "cline" else _gemini)(found, home, environment)
            return (found.agent, session) if session else None
    return None


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
        return AgentProcess(_COMMANDS[words[0]], process, started, os.readlink(f"/proc/{process}/cwd"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _stat(process: int) -> list[bytes]:
    with open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def _cline(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """Cline notes in each session's file which process it is; the last one that the process began."""
    base = environment.get("CLINE_DIR") or os.path.join(home, ".cline")
    found = []
    for folder in directories(os.path.join(base, "data", "sessions")):
        path = os.path.join(folder, f"{os.path.basename(folder)}.json")
        changed = _changed(path)
        if changed >= running.started:
            session = _head(path)
            if session.get("pid") == running.process:
                found.append((changed, text(session.get("session_id"))))
    return max(found)[1] if found else ""


def _gemini(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """Gemini CLI keeps a folder for each project: the one chat there that was written since the process started.

    Two such chats are those of two processes, or of one after `/clear`: there is no telling which.
    """
    found = []
    for project in projects(home, environment):
        if _line(os.path.join(project, ".project_root")).strip() == running.directory:
            chats = files_in(os.path.join(project, "chats"), ".jsonl")
            found += [path for path in chats if _changed(path) >= running.started]
    return text(_head(found[0]).get("sessionId")) if len(found) == 1 else ""


def _changed(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _head(path: str) -> Mapping[str, object]:
    """The JSON object in a file's first line, or in the whole of a small file; empty if it is neither."""
    content = _line(path, whole=not path.endswith(".jsonl"))
    try:
        return mapping(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _line(path: str, whole: bool = False) -> str:
    try:
        descriptor = open_source(path)
        if descriptor is None:
            return ""
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            return file.read(_HEAD_BYTES) if whole else file.readline(_HEAD_BYTES)
    except OSError:
        return ""
