"""The session that a running agent works in: as its hooks told, else from the files that it keeps."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping

from .calls import mapping, text
from .folders import folder
from .processes import AgentProcess
from .reading import auggie
from .reading.gemini_cli import projects
from .reading.sources import directories, files_in, open_source

APPEARS_SECONDS = 1.0
_HEAD_BYTES = 65_536


def session_of(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """The session's id; empty if there is no telling which it is."""
    from .ledger.processes import told

    return told(running) or _FROM_FILES[running.agent](running, home, environment)


def _cline(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """Cline notes in each session's file which process it is; the last one that the process began."""
    found = []
    for kept in directories(folder("cline", home, environment, "sessions")):
        path = os.path.join(kept, f"{os.path.basename(kept)}.json")
        changed = _changed(path)
        if changed >= running.started:
            session = _head(path)
            if session.get("pid") == running.process:
                found.append((changed, text(session.get("session_id"))))
    return max(found)[1] if found else ""


def _gemini(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """Gemini CLI keeps a folder for each project: the one chat there that was written since the process started.

    Two such chats are those of two processes, or of one after `/clear`: only hooks can tell which.
    """
    found = []
    for project in projects(home, environment):
        if _line(os.path.join(project, ".project_root")).strip() == running.directory:
            chats = files_in(os.path.join(project, "chats"), ".jsonl")
            found += [path for path in chats if _changed(path) >= running.started]
    return text(_head(found[0]).get("sessionId")) if len(found) == 1 else ""


def _auggie(running: AgentProcess, home: str, _environment: Mapping[str, str]) -> str:
    """Auggie keeps the sessions of all projects in one folder: the one that was written since the process started.

    Two such sessions are those of two processes, or of one after `/new`: only hooks can tell which.
    """
    found: list[str] = []
    until = time.monotonic() + APPEARS_SECONDS
    while not found and time.monotonic() < until:  # It may be still writing the file when it runs its first tool.
        found = [path for path in auggie.locations(home, {}) if _changed(path) >= running.started]
        if not found:
            time.sleep(0.02)
    return os.path.basename(found[0]).removesuffix(".json") if len(found) == 1 else ""


_FROM_FILES = {"auggie": _auggie, "cline": _cline, "gemini-cli": _gemini}


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
