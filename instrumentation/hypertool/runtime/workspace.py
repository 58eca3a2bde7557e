"""The workspace of a directory: the repository that contains it, else the directory itself."""

from __future__ import annotations

import os
from pathlib import Path


def find_workspace(start: Path | None = None) -> Path:
    """The root of the repository around `start` (the working directory by default), else that directory.

    A git worktree and a submodule (where `.git` is a file) are workspaces of their own. If the working directory was
    removed, the result is the root of the file system.
    """
    try:
        here = (start if start is not None else Path.cwd()).resolve()
    except OSError:
        return Path("/")
    for directory in (here, *here.parents):
        if os.path.lexists(directory / ".git"):
            return directory
    return here


def workspace_name(start: Path | None = None) -> str:
    """The name of the workspace's directory, for spans and messages; `/` for the root."""
    return find_workspace(start).name or "/"
