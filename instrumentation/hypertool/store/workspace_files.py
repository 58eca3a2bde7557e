"""Small files of one user about one workspace: where they are, and a lock on each of them."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from ..runtime.home import own_home
from .directory import personal


def directory(kind: str) -> Path:
    """The directory of this user's files of one kind.

    It lies beside the store that HYPERTOOL_STATE_DIR names, so that one variable isolates everything; else in the
    user's own state directory, which other users cannot read.
    """
    beside = personal(kind)
    if beside is not None:
        return beside
    base = os.environ.get("XDG_STATE_HOME")
    if base and os.path.isabs(base):
        return Path(base) / "hypertool" / kind
    return Path(own_home()) / ".local" / "state" / "hypertool" / kind


def key(workspace: Path) -> str:
    """The name of a workspace's files."""
    # Two CRCs instead of hashlib: loading OpenSSL would take a tenth of the time allowed for a switch.
    raw = os.fsencode(workspace)
    return f"{zlib.crc32(raw):08x}{zlib.crc32(raw[::-1], 1):08x}"
