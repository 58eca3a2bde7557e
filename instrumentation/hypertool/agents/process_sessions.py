"""The session that a running agent works in, from the files that it keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from .calls import mapping, text
from .processes import AgentProcess
from .reading.gemini_cli import projects
from .reading.sources import directories, files_in, open_source

_HEAD_BYTES = 65_536


def session_of(running: AgentProcess, home: str, environment: Mapping[str, str]) -> str:
    """The session's id; empty if there is no telling which it is."""
    return (_cline if running.agent == "cline" else _gemini)(running, home, environment)


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
