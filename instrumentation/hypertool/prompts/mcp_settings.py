"""The entry of `hypertool mcp` in each agent's MCP settings of a project; everything else in the file stays."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ..agents.installing import applying, files, tools
from ..agents.ledger import location
from .tree import Tree

COMMAND = ("hypertool", tools.MCP)
SETTINGS = {agent: path for agent, (path, _) in tools.PROJECT.items()}


class Result(NamedTuple):
    """One file: `state` is `same`, `new` or `changed`; `backup` is where its content before is kept."""

    path: str
    state: str
    backup: str = ""


def write(agent: str, into: str, check: bool = False) -> Result | None:
    """Add the entry below the folder `into`; None for an agent without such a file. Raises CannotEdit or Refused."""
    if agent not in tools.PROJECT:
        return None
    path, key = tools.PROJECT[agent]
    tree = Tree(into)
    before = tree.read(path)
    place = tools.Place(agent, path, key, into)
    after = tools.with_entry(place, applying.text_of(path, before), COMMAND).encode()
    if after == before:
        return Result(path, "same")
    state = "new" if before is None else "changed"
    backup = ""
    if not check:
        if before is not None:
            backup = _keep(os.path.join(tree.top, path), before)
        tree.write(path, after)
    return Result(path, state, backup)


def _keep(path: str, content: bytes) -> str:
    """Keep the content of a file before its change, in the user's own state."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    name = f"{os.path.basename(path)}.{stamp}.{os.getpid()}"
    backup = str(location.directory() / "backups" / name)
    files.write(backup, content, 0o600)
    return backup
