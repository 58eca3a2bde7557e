"""The entry of `hypertool mcp` in each agent's MCP settings: its place, and how it gets into a text and out of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from ...runtime.light_typing import Any, NamedTuple
from ..folders import folder
from . import jsonc
from .files import CannotEdit

NAME = "hypertool"
MCP = "mcp"
# Longer than the agents' own limits: Cline gives a server three seconds to start, and a gate may run for minutes.
START_SECONDS = 30
GATE_SECONDS = 600


class Place(NamedTuple):
    """One agent's MCP settings: the file, and the key that holds its servers (a table in a TOML file).

    `within` is the project that the file belongs to; empty for the user's own.
    """

    agent: str
    path: str
    key: str
    within: str = ""


# In a project; Cline and Auggie have no such file there.
PROJECT = {
    "claude-code": (".mcp.json", "mcpServers"),
    "copilot-cli": (".mcp.json", "mcpServers"),
    "gemini-cli": (".gemini/settings.json", "mcpServers"),
    "qwen-code": (".qwen/settings.json", "mcpServers"),
    "codex": (".codex/config.toml", "mcp_servers"),
    "opencode": ("opencode.json", "mcp"),
}
# Of a user: the part of the agent's folders, the file below that, the key.
_USER = {
    "claude-code": ("mcp", ".claude.json", "mcpServers"),
    "codex": ("", "config.toml", "mcp_servers"),
    "gemini-cli": ("", "settings.json", "mcpServers"),
    "copilot-cli": ("", "mcp-config.json", "mcpServers"),
    "cline": ("data", "settings/cline_mcp_settings.json", "mcpServers"),
    "auggie": ("", "settings.json", "mcpServers"),
    "opencode": ("config", "opencode.json", "mcp"),
    "qwen-code": ("", "settings.json", "mcpServers"),
}
#: What a project's file may say of our server. Anything else, `env` and `cwd` before all, is for its user to choose.
_IN_A_PROJECT = {
    "type", "command", "args", "description", "enabled", "disabled", "timeout", "tools",
    "env_vars", "startup_timeout_sec", "tool_timeout_sec",
}  # fmt: skip
_TABLE = "[mcp_servers.hypertool]"
_HEADER = re.compile(r'^[ \t]*\[[ \t]*mcp_servers[ \t]*\.[ \t]*"?hypertool"?[ \t]*\].*\n?', re.MULTILINE)
_NEXT = re.compile(r'^[ \t]*\[(?![ \t]*mcp_servers[ \t]*\.[ \t]*"?hypertool"?[ \t]*\.)', re.MULTILINE)
_COMMAND = re.compile(r"^([ \t]*command[ \t]*=[ \t]*).*$", re.MULTILINE)


def place(agent: str, scope: str, home: str, project: str, environment: Mapping[str, str]) -> Place | None:
    """Where that agent's MCP settings are; None for an agent without such a file."""
    if scope == "project":
        found = PROJECT.get(agent)
        return Place(agent, os.path.join(project, found[0]), found[1], project) if found is not None else None
    known = _USER.get(agent)
    if known is None:
        return None
    part, name, key = known
    path = os.path.join(folder(agent, home, environment, part), name)
    if agent == "opencode" and os.path.exists(path + "c") and not os.path.exists(path):
        path += "c"
    return Place(agent, path, key)


def command_in(at: Place, text: str) -> list[str]:
    """The words of our entry's command in the settings; empty without one. Raises CannotEdit."""
    if not text.strip():
        return []
    found = _entry_in(at, text)
    return _words(found) if _is_ours(found) else []


def chosen_by_repository(at: Place, text: str) -> list[str]:
    """What a project's file says of our server that only its user may choose, by key. Raises CannotEdit."""
    found = _entry_in(at, text) if at.within and text.strip() else None
    if not isinstance(found, dict):
        return []
    return sorted(key for key, value in found.items() if value and key not in _IN_A_PROJECT)


def with_entry(at: Place, text: str, command: Sequence[str]) -> str:
    """The settings with our entry, which runs `command`.

    Raises CannotEdit, also where its name is another server's, or a repository has chosen how our server runs.
    """
    found = _entry_in(at, text) if text.strip() else None
    if found is not None:
        if not _is_ours(found):
            raise CannotEdit(f"{at.path} has another server called {NAME}; rename it, then install again")
        if chosen := chosen_by_repository(at, text):
            raise CannotEdit(
                f"{at.path} sets {', '.join(chosen)} of the server {NAME}, which a repository may not choose for you; "
                "take that out of the file (your own settings may have it), then install again"
            )
        if _words(found) == list(command):
            return text
    if at.path.endswith(".toml"):
        return _with_table(at, text, command, found is not None)
    if not text.strip():
        return json.dumps({at.key: {NAME: _entry(at, command)}}, indent=2) + "\n"
    return _with_member(at, text, command, found is not None)


def without_entry(at: Place, text: str) -> str:
    """The settings without our entry, and without an object that then has no other. Raises CannotEdit."""
    if not command_in(at, text):
        return text
    if at.path.endswith(".toml"):
        return _without_table(at, text)
    root = _root(at, text)
    servers = _servers(at, root)
    assert servers is not None
    start, node = next((start, node) for key, start, node in servers.members if key == NAME)
    text = jsonc.remove(text, servers, start, node.end)
    root = _root(at, text)
    left = _servers(at, root)
    if left is None or left.members or text[left.start + 1 : left.end - 1].strip():
        return text
    start = next(start for _, start, node in root.members if node is left)
    return jsonc.remove(text, root, start, left.end)


# The entry


def _entry(at: Place, command: Sequence[str]) -> dict[str, Any]:
    if at.agent == "opencode":
        return {"type": "local", "command": list(command), "enabled": True, "timeout": GATE_SECONDS * 1000}
    entry = {"command": command[0], "args": list(command[1:])}
    if at.agent == "copilot-cli" and not at.within:
        return {"type": "local", **entry, "tools": ["*"]}
    if at.agent == "cline":
        return {**entry, "timeout": GATE_SECONDS}
    return entry


def _entry_in(at: Place, text: str) -> Any:
    if at.path.endswith(".toml"):
        servers = _parsed_toml(at, text).get(at.key, {})
        return servers.get(NAME) if isinstance(servers, dict) else None
    servers_node = _servers(at, _root(at, text))
    node = servers_node.member(NAME) if servers_node is not None else None
    return node.plain() if node is not None else None


def _words(entry: Any) -> list[str]:
    command, arguments = (entry.get(name) for name in ("command", "args")) if isinstance(entry, dict) else (None, None)
    words = [*(command if isinstance(command, list) else [command])]
    return [str(word) for word in (*words, *(arguments if isinstance(arguments, list) else ()))]


def _is_ours(entry: Any) -> bool:
    words = _words(entry)
    return len(words) == 2 and words[1] == MCP and os.path.basename(words[0]) == "hypertool"


# JSON


def _root(at: Place, text: str) -> jsonc.Node:
    try:
        return _object(at.path, jsonc.parse(text))
    except jsonc.NotJson as error:
        raise CannotEdit(f"{at.path} is not JSON: {error}; correct it, then try again") from None


def _servers(at: Place, root: jsonc.Node) -> jsonc.Node | None:
    servers = root.member(at.key)
    return _object(f'{at.path}: "{at.key}"', servers) if servers is not None else None


def _object(path: str, node: jsonc.Node) -> jsonc.Node:
    if node.kind != "object":
        raise CannotEdit(f"{path} is a JSON {node.kind}, expected an object; it is left alone")
    return node


def _with_member(at: Place, text: str, command: Sequence[str], present: bool) -> str:
    root = _root(at, text)
    servers = _servers(at, root)
    entry = _entry(at, command)
    if servers is None:
        return jsonc.insert(text, root, _member(at.key, {NAME: entry}), "  ", "")
    if not present:
        return jsonc.insert(text, servers, _member(NAME, entry), "    ", "  ")
    known = servers.member(NAME)
    old = known.member("command") if known is not None else None
    assert old is not None
    return text[: old.start] + json.dumps(entry["command"]) + text[old.end :]


def _member(name: str, value: object) -> str:
    return f"{json.dumps(name)}: {json.dumps(value, indent=2)}"


# TOML


def _parsed_toml(at: Place, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # pragma: no cover - exercised on hosts with Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotEdit(f"{at.path} is not TOML: {error}; correct it, then try again") from None


def _quoted(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)


def _with_table(at: Place, text: str, command: Sequence[str], present: bool) -> str:
    if re.search(rf"^\s*{at.key}\s*=", text, re.MULTILINE):
        raise CannotEdit(f"{at.path}: {at.key} is written in one line; add the table {_TABLE} by hand")
    for made in _changed(text, command) if present else (_appended(text, command),):
        with contextlib.suppress(CannotEdit):
            if _words(_entry_in(at, made)) == list(command):
                return made
    raise CannotEdit(f"{at.path}: {at.key}.{NAME} is not written as the table {_TABLE}; change it by hand")


def _appended(text: str, command: Sequence[str]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
    lines = (
        _TABLE,
        f"command = {_quoted(command[0])}",
        f"args = [{', '.join(map(_quoted, command[1:]))}]",
        # Codex passes on only the variables that are named.
        'env_vars = ["HYPERTOOL_STATE_DIR", "HYPERTOOL_CONFIG", "TRACEPARENT"]',
        f"startup_timeout_sec = {START_SECONDS}",
        f"tool_timeout_sec = {GATE_SECONDS}",
    )
    return text + gap + newline.join((*lines, ""))


def _changed(text: str, command: Sequence[str]) -> Iterator[str]:
    for start, end in _blocks(text):
        block = _COMMAND.sub(lambda found: found[1] + _quoted(command[0]), text[start:end], count=1)
        yield text[:start] + block + text[end:]


def _without_table(at: Place, text: str) -> str:
    wanted = _parsed_toml(at, text)
    del wanted[at.key][NAME]
    if not wanted[at.key]:
        del wanted[at.key]
    for start, end in _blocks(text):
        made = text[:start] + text[end:]
        with contextlib.suppress(CannotEdit):
            if _parsed_toml(at, made) == wanted:
                return made
    raise CannotEdit(f"{at.path}: {at.key}.{NAME} is not written as the table {_TABLE}; remove it by hand")


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Where the table may begin and end in the text, the last one first: a text in it may look like one."""
    for header in reversed(list(_HEADER.finditer(text))):
        following = _NEXT.search(text, header.end())
        yield header.start(), following.start() if following is not None else len(text)
