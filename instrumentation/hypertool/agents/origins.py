"""Where and when an agent's session began, from its own files; compared with a command's, and kept nowhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from ..runtime.light_typing import Any, NamedTuple
from .calls import mapping, seconds, text
from .reading.sources import open_source

SLACK_SECONDS = 1.0
"""Agents round their times."""
_RESUMES = frozenset({"-c", "-r", "-s", "--continue", "--resume", "--session", "resume", "fork", "--id"})
_TIME_ALONE = ("auggie", "aider")
_HEAD_BYTES = 1 << 20
_MAX_PATH = 4096


class Origin(NamedTuple):
    """A session's directory (empty: its agent does not say) and start (seconds since the epoch; 0: unknown)."""

    directory: str
    began: float


_UNKNOWN = Origin("", 0.0)


def origin(agent: str, path: str, session: str) -> Origin:
    """Where the session whose calls that file has began. Never raises: what cannot be read is unknown."""
    try:
        return _ORIGINS[agent](path, session) if agent in _ORIGINS else _UNKNOWN
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return _UNKNOWN


def _same_place(directory: str, mine: str) -> bool:
    """Whether a session's directory is mine, or below it."""
    theirs, here = os.path.realpath(directory), os.path.realpath(mine)
    return os.path.commonpath([theirs, here]) == here


def _first_lines(path: str) -> Iterator[dict[str, Any]]:
    for line in _head(path).split(b"\n"):
        try:
            yield mapping(json.loads(line))
        except (ValueError, RecursionError):
            continue


def _head(path: str) -> bytes:
    descriptor = open_source(path)
    if descriptor is None:
        return b""
    with open(descriptor, "rb") as file:
        return file.read(_HEAD_BYTES)


def _directory(value: object) -> str:
    return value if isinstance(value, str) and os.path.isabs(value) and len(value) <= _MAX_PATH else ""


def _each_line(path: str, _session: str) -> Origin:
    """Claude Code and Qwen Code write both into each line."""
    began = 0.0
    for record in _first_lines(path):
        began = began or seconds(record.get("timestamp"))
        if _directory(record.get("cwd")):
            return Origin(_directory(record["cwd"]), began)
    return Origin("", began)


def _codex(path: str, _session: str) -> Origin:
    for record in _first_lines(path):
        if record.get("type") == "session_meta":
            payload = mapping(record.get("payload"))
            return Origin(_directory(payload.get("cwd")), seconds(record.get("timestamp")))
    return _UNKNOWN


def _copilot_cli(path: str, _session: str) -> Origin:
    for record in _first_lines(path):
        if record.get("type") == "session.start":
            context = mapping(mapping(record.get("data")).get("context"))
            return Origin(_directory(context.get("cwd")), seconds(record.get("timestamp")))
    return _UNKNOWN


def _gemini_cli(path: str, _session: str) -> Origin:
    folder = os.path.dirname(path)
    if os.path.basename(folder) != "chats":  # a sub-agent's
        folder = os.path.dirname(folder)
    began = next((seconds(record.get("startTime")) for record in _first_lines(path)), 0.0)
    root = _head(os.path.join(os.path.dirname(folder), ".project_root"))
    return Origin(_directory(os.fsdecode(root).strip()), began)


def _cline(path: str, session: str) -> Origin:
    document = mapping(json.loads(_head(os.path.join(os.path.dirname(path), f"{session}.json"))))
    return Origin(_directory(document.get("cwd")), seconds(document.get("started_at")))


def _auggie(path: str, _session: str) -> Origin:
    return Origin("", seconds(mapping(json.loads(_head(path))).get("created")))


def _opencode(path: str, session: str) -> Origin:
    from .reading.opencode import origin_of

    directory, created = origin_of(path, session)
    return Origin(_directory(directory), seconds(created))


def _aider(_path: str, session: str) -> Origin:
    return Origin("", seconds(float(text(session).split("-")[1])))


_ORIGINS = {
    "claude-code": _each_line,
    "qwen-code": _each_line,
    "codex": _codex,
    "copilot-cli": _copilot_cli,
    "gemini-cli": _gemini_cli,
    "cline": _cline,
    "auggie": _auggie,
    "opencode": _opencode,
    "aider": _aider,
}


def is_of(words: Sequence[str], started: float, directory: str, found: Origin, agent: str) -> bool:
    """Whether the command `words`, which `started` in that directory, may be the session's.

    A session that began before is the command's only if one of its words resumes one. Of agents that keep no directory
    the time alone decides.
    """
    if not (_same_place(found.directory, directory) if found.directory else agent in _TIME_ALONE):
        return False
    if agent == "aider" and not found.began:  # an old log that goes on, or one without the line of its start
        return True
    return found.began >= started - SLACK_SECONDS or resumes(words)


def resumes(words: Sequence[str]) -> bool:
    """Whether a command resumes an older session."""
    return not _RESUMES.isdisjoint(words)
