"""Something else in the place of a file."""

from __future__ import annotations

import os
from pathlib import Path


def put_pipe_or_folder(kind: str, path: Path) -> bool:
    """Put a "fifo" or a "folder" at `path`, whose parents it makes; for another kind put nothing and return False."""
    path.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    return kind in ("fifo", "folder")
