"""Where each agent keeps its files, by the variables that move them: for readers, hooks, `agents install` and MCP."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..runtime.light_typing import NamedTuple


class _Folder(NamedTuple):
    """A folder: `below` the one that the variable names, else `default` below another part's folder or the home."""

    variable: str
    default: str
    below: str = ""
    part: str | None = None


# Agent and part, "" for the agent's own folder.
_FOLDERS = {
    ("claude-code", ""): _Folder("CLAUDE_CONFIG_DIR", ".claude"),
    ("claude-code", "mcp"): _Folder("CLAUDE_CONFIG_DIR", ""),
    ("codex", ""): _Folder("CODEX_HOME", ".codex"),
    ("gemini-cli", ""): _Folder("GEMINI_CLI_HOME", ".gemini", ".gemini"),
    ("copilot-cli", ""): _Folder("COPILOT_HOME", ".copilot"),
    ("cline", ""): _Folder("CLINE_DIR", ".cline"),
    ("cline", "data"): _Folder("CLINE_DATA_DIR", "data", part=""),
    ("cline", "sessions"): _Folder("CLINE_SESSION_DATA_DIR", "sessions", part="data"),
    ("auggie", ""): _Folder("", ".augment"),
    ("opencode", "data"): _Folder("XDG_DATA_HOME", ".local/share/opencode", "opencode"),
    ("opencode", "config"): _Folder("XDG_CONFIG_HOME", ".config/opencode", "opencode"),
    ("qwen-code", ""): _Folder("QWEN_HOME", ".qwen"),
    ("qwen-code", "runtime"): _Folder("QWEN_RUNTIME_DIR", "", part=""),
}
VARIABLES = tuple(dict.fromkeys(found.variable for found in _FOLDERS.values() if found.variable))
"""Every variable that moves such a folder."""


def folder(agent: str, home: str, environment: Mapping[str, str], part: str = "") -> str:
    """The agent's folder of that part for the user with that home. Raises KeyError for one that the agent has not."""
    variable, default, below, above = _FOLDERS[agent, part]
    named = environment.get(variable, "")
    if named:
        return os.path.join(named, below) if below else named
    base = home if above is None else folder(agent, home, environment, above)
    return os.path.join(base, default) if default else base
