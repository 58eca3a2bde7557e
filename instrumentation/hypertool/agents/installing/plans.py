"""The hooks of each agent: their events, file and format, for the user or for a project."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from ...runtime.light_typing import Any, NamedTuple
from ..folders import folder

SCOPES = ("user", "project")
TIMEOUT_SECONDS = 10


class Plan(NamedTuple):
    """One agent's hooks: `events` (the agent's names), the file for them, and the format of that file.

    The format is `settings` (entries in a file shared with the user's own settings), `own` (a file that is only ours)
    or `executables` (one program for each event in a folder). `within` is the project that the file belongs to; empty
    for the user's own.
    """

    agent: str
    shape: str
    path: str
    events: tuple[str, ...]
    within: str = ""


_EVENTS = {
    "claude-code": (
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "SubagentStart",
        "SubagentStop",
        "Stop",
        "SessionEnd",
    ),
    "codex": ("SessionStart", "UserPromptSubmit", "PostToolUse", "SubagentStart", "Stop", "SessionEnd"),
    "gemini-cli": ("SessionStart", "BeforeAgent", "BeforeModel", "BeforeTool", "AfterAgent", "SessionEnd"),
    "copilot-cli": ("sessionStart", "userPromptSubmitted", "postToolUse", "subagentStart", "agentStop", "sessionEnd"),
    "cline": ("TaskStart", "PreToolUse", "PostToolUse", "TaskComplete"),
    "auggie": ("SessionStart", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"),
    "qwen-code": ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"),
}
HOOKED = tuple(_EVENTS)
# The agent's folder in a project, and the file with its hooks there and in the user's.
_SETTINGS = {
    "claude-code": (".claude", "settings.json"),
    "codex": (".codex", "hooks.json"),
    "gemini-cli": (".gemini", "settings.json"),
    "copilot-cli": (".github", "hooks/hypertool.json"),
    "cline": (".cline", "hooks"),
    "auggie": (".augment", "settings.json"),
    "qwen-code": (".qwen", "settings.json"),
}
_SHAPES = {"copilot-cli": "own", "cline": "executables"}

# Agents whose timeouts are in milliseconds; the others' are in seconds.
_MILLISECONDS = ("auggie", "gemini-cli", "qwen-code")


def plan(agent: str, scope: str, home: str, project: str, environment: Mapping[str, str]) -> Plan:
    """The hooks of that agent. Raises KeyError for an agent without hooks."""
    below, name = _SETTINGS[agent]
    in_project = scope == "project"
    base = os.path.join(project, below) if in_project else folder(agent, home, environment)
    shape = _SHAPES.get(agent, "settings")
    return Plan(agent, shape, os.path.join(base, name), _EVENTS[agent], project if in_project else "")


def command(program: str, agent: str, event: str) -> str:
    """The command for the agent. A missing program must not cause an error that stops the agent."""
    return f"{shlex.quote(program)} hook {agent} {event}"


def entry(program: str, agent: str, event: str) -> dict[str, Any]:
    """One event's entry in a settings file."""
    timeout = TIMEOUT_SECONDS * 1000 if agent in _MILLISECONDS else TIMEOUT_SECONDS
    hook: dict[str, Any] = {"type": "command", "command": command(program, agent, event), "timeout": timeout}
    if agent == "gemini-cli":
        hook["name"] = "hypertool"
        if event == "BeforeTool":  # only of the tool that starts a sub-agent: each hook costs its tool 30 ms
            return {"matcher": "invoke_agent", "hooks": [hook]}
    return {"hooks": [hook]}


def is_ours(agent: str, item: Any, event: str) -> bool:
    """Whether we created this entry of an event, whichever program it names."""
    hooks = item.get("hooks") if isinstance(item, dict) else None
    if not isinstance(hooks, list) or len(hooks) != 1 or not isinstance(hooks[0], dict):
        return False
    given = hooks[0].get("command")
    return isinstance(given, str) and given.endswith(f" hook {agent} {event}") and "hypertool" in given


def own_document(program: str, agent: str, events: tuple[str, ...]) -> dict[str, Any]:
    """The content of a file that is only ours."""
    return {
        "version": 1,
        "hooks": {
            event: [{"type": "command", "bash": command(program, agent, event), "timeoutSec": TIMEOUT_SECONDS}]
            for event in events
        },
    }


MARK = "# Made by `hypertool agents install`; `hypertool agents uninstall` removes it."


def script(program: str, agent: str, event: str) -> bytes:
    """An executable for one event; if the program is missing, the agent continues."""
    quoted = shlex.quote(program)
    return (f"#!/bin/sh\n{MARK}\n[ -x {quoted} ] || exit 0\nexec {quoted} hook {agent} {event}\n").encode()
