"""The entry of `hypertool mcp` in each agent's MCP settings of a project; everything else in the file stays."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import NamedTuple

from ..agents.installing import files, jsonc
from ..agents.installing.files import CannotEdit
from ..agents.ledger import location
from .tree import Tree

NAME = "hypertool"
COMMAND = ("hypertool", "mcp")


class Settings(NamedTuple):
    """One agent's file in a project, and the key that holds its servers (TOML where the file is)."""

    path: str
    key: str


SETTINGS = {
    "claude-code": Settings(".mcp.json", "mcpServers"),
    "copilot-cli": Settings(".mcp.json", "mcpServers"),
    "gemini-cli": Settings(".gemini/settings.json", "mcpServers"),
    "qwen-code": Settings(".qwen/settings.json", "mcpServers"),
    "codex": Settings(".codex/config.toml", "mcp_servers"),
    "opencode": Settings("opencode.json", "mcp"),
}


class Result(NamedTuple):
    """One file: `state` is `same`, `new` or `changed`; `backup` is where its content before is kept."""

    path: str
    state: str
    backup: str = ""


def write(agent: str, into: str, check: bool = False) -> Result | None:
    """Add the entry below the folder `into`; None for an agent without such a file. Raises CannotEdit or Refused."""
    settings = SETTINGS.get(agent)
    if settings is None:
        return None
    tree = Tree(into)
    before = tree.read(settings.path)
    after = _with_entry(agent, settings, _text(settings.path, before)).encode()
    if after == before:
        return Result(settings.path, "same")
    state = "new" if before is None else "changed"
    backup = ""
    if not check:
        if before is not None:
            backup = _keep(os.path.join(tree.top, settings.path), before)
        tree.write(settings.path, after)
    return Result(settings.path, state, backup)


def _with_entry(agent: str, settings: Settings, text: str) -> str:
    if settings.path.endswith(".toml"):
        return _with_table(settings, text)
    entry = _entry(agent)
    if not text.strip():
        return json.dumps({settings.key: {NAME: entry}}, indent=2) + "\n"
    try:
        root = _object(settings.path, jsonc.parse(text))
    except jsonc.NotJson as error:
        raise CannotEdit(f"{settings.path} is not JSON: {error}; correct it, then try again") from None
    servers = root.member(settings.key)
    if servers is None:
        return jsonc.insert(text, root, _member(settings.key, {NAME: entry}), "  ", "")
    _object(f'{settings.path}: "{settings.key}"', servers)
    present = servers.member(NAME)
    if present is None:
        return jsonc.insert(text, servers, _member(NAME, entry), "    ", "  ")
    if present.plain() == entry:
        return text
    written = json.dumps(entry, indent=2).replace("\n", "\n    ")
    return text[: present.start] + written + text[present.end :]


def _with_table(settings: Settings, text: str) -> str:
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # pragma: no cover - exercised on hosts with Python 3.10
        import tomli as tomllib
    try:
        servers = tomllib.loads(text).get(settings.key, {})
    except ValueError as error:
        raise CannotEdit(f"{settings.path} is not TOML: {error}; correct it, then try again") from None
    wanted = {"command": COMMAND[0], "args": list(COMMAND[1:])}
    found = servers.get(NAME) if isinstance(servers, dict) else None
    if found == wanted:
        return text
    if found is not None or re.search(rf"^\s*{settings.key}\s*=", text, re.M):
        raise CannotEdit(
            f"{settings.path} has another {settings.key}.{NAME}, expected command = {COMMAND[0]!r} and args = "
            f"{list(COMMAND[1:])}; change it by hand"
        )
    gap = "\n" if text.strip() else ""
    ended = text if not text or text.endswith("\n") else text + "\n"
    return f'{ended}{gap}[{settings.key}.{NAME}]\ncommand = "{COMMAND[0]}"\nargs = {json.dumps(list(COMMAND[1:]))}\n'


def _entry(agent: str) -> dict[str, object]:
    if agent == "opencode":
        return {"type": "local", "command": list(COMMAND), "enabled": True}
    return {"command": COMMAND[0], "args": list(COMMAND[1:])}


def _member(name: str, value: object) -> str:
    return f"{json.dumps(name)}: {json.dumps(value, indent=2)}"


def _text(path: str, raw: bytes | None) -> str:
    try:
        return (raw or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotEdit(f"{path} is not UTF-8 text (byte {error.start}); it is left alone") from None


def _object(path: str, node: jsonc.Node) -> jsonc.Node:
    if node.kind != "object":
        raise CannotEdit(f"{path} is a JSON {node.kind}, expected an object; it is left alone")
    return node


def _keep(path: str, content: bytes) -> str:
    """Keep the content of a file before its change, in the user's own state."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    name = f"{os.path.basename(path)}.{stamp}.{os.getpid()}"
    backup = str(location.directory() / "backups" / name)
    files.write(backup, content, 0o600)
    return backup
