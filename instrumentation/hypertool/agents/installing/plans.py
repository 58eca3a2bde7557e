"""The hooks of each agent: their events, file and format, for the user or for a project."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from ...runtime.light_typing import Any, NamedTuple

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
    "gemini-cli": ("SessionStart", "BeforeAgent", "BeforeModel", "AfterAgent", "SessionEnd"),
    "copilot-cli": ("sessionStart", "userPromptSubmitted", "postToolUse", "subagentStart", "agentStop", "sessionEnd"),
    "cline": ("TaskStart", "PreToolUse", "PostToolUse", "TaskComplete"),
    "auggie": ("SessionStart", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"),
    "qwen-code": ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"),
}
HOOKED = tuple(_EVENTS)
# Below the home or the project folder.
_SETTINGS = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/hooks.json",
    "gemini-cli": ".gemini/settings.json",
    "auggie": ".augment/settings.json",
    "qwen-code": ".qwen/settings.json",
}
# Names another folder than the one in the home.
_FOLDER_VARIABLES = {"claude-code": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME", "qwen-code": "QWEN_HOME"}

# Agents whose timeouts are in milliseconds; the others' are in seconds.
_MILLISECONDS = ("auggie", "gemini-cli", "qwen-code")


def plan(agent: str, scope: str, home: str, project: str, environment: Mapping[str, str]) -> Plan:
    """The hooks of that agent. Raises KeyError for an agent without hooks."""
    found = _plan(agent, scope, home, project, environment)
    return found._replace(within=project) if scope == "project" else found


def _plan(agent: str, scope: str, home: str, project: str, environment: Mapping[str, str]) -> Plan:
    events = _EVENTS[agent]
    if agent == "copilot-cli":
        folder = (
            os.path.join(environment.get("COPILOT_HOME") or os.path.join(home, ".copilot"), "hooks")
            if scope == "user"
            else os.path.join(project, ".github", "hooks")
        )
        return Plan(agent, "own", os.path.join(folder, "hypertool.json"), events)
    if agent == "cline":
        base = home if scope == "user" else project
        return Plan(agent, "executables", os.path.join(base, ".cline", "hooks"), events)
    folder, name = os.path.split(_SETTINGS[agent])
    base = os.path.join(home if scope == "user" else project, folder)
    elsewhere = environment.get(_FOLDER_VARIABLES.get(agent, ""))
    if scope == "user" and elsewhere:
        base = elsewhere
    return Plan(agent, "settings", os.path.join(base, name), events)


def command(program: str, agent: str, event: str) -> str:
    """The command for the agent. A missing program must not cause an error that stops the agent."""
    return f"{shlex.quote(program)} hook {agent} {event}"


def entry(program: str, agent: str, event: str) -> dict[str, Any]:
    """One event's entry in a settings file."""
    timeout = TIMEOUT_SECONDS * 1000 if agent in _MILLISECONDS else TIMEOUT_SECONDS
    hook: dict[str, Any] = {"type": "command", "command": command(program, agent, event), "timeout": timeout}
    if agent == "gemini-cli":
        hook["name"] = "hypertool"
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
