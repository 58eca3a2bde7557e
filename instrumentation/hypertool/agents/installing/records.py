"""Files as they were before an installation, kept in the user's state so that uninstalling restores the exact bytes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import zlib

from ...runtime.light_typing import NamedTuple
from ..ledger import location
from . import files


class Record(NamedTuple):
    """One file: its content before (None: there was none), what we wrote, and the folders that we created for it."""

    path: str
    before: bytes | None
    after: bytes
    folders: tuple[str, ...]


def load(path: str) -> Record | None:
    """The record of that file; None without a readable one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, files.CannotEdit):
        raw = files.read(_place(path))
        if raw is None:
            return None
        data = json.loads(raw)
        if data["path"] != path:
            return None
        before = base64.b64decode(data["before"]) if data["before"] is not None else None
        return Record(path, before, base64.b64decode(data["after"]), tuple(map(str, data["folders"])))
    return None


def save(record: Record) -> None:
    """Save the record, before the file itself is changed. Raises CannotEdit."""
    before = base64.b64encode(record.before).decode() if record.before is not None else None
    data = {
        "path": record.path,
        "before": before,
        "after": base64.b64encode(record.after).decode(),
        "folders": list(record.folders),
    }
    files.write(_place(record.path), json.dumps(data).encode(), 0o600)


def forget(path: str) -> None:
    """Delete the record after the installation was undone."""
    files.delete(_place(path))


def backup(path: str) -> str:
    """The path of that file's record."""
    return _place(path)


def _place(path: str) -> str:
    raw = os.fsencode(path)
    return str(location.directory() / "installed" / f"{zlib.crc32(raw):08x}{zlib.crc32(raw[::-1], 1):08x}.json")


def missing_folders(path: str) -> tuple[str, ...]:
    """The folders above a file that do not exist yet, the deepest first."""
    missing = []
    folder = os.path.dirname(files.real(path))
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return tuple(missing)


def remove_folders(record: Record) -> None:
    """Remove the created folders that are empty again."""
    for folder in record.folders:
        try:
            os.rmdir(folder)
        except OSError:
            return
