"""Writes a changed file of an agent with a record of its content before, and undoes that."""

from __future__ import annotations

import os

from ...runtime.light_typing import NamedTuple
from . import files, records
from .files import CannotEdit


class Result(NamedTuple):
    """The result: `changed` says whether a file changed; `path` is the file or folder; `part` is `hooks` or `tools`."""

    agent: str
    path: str
    changed: bool
    what: str
    part: str = "hooks"


def check_place(path: str, within: str) -> None:
    """Raises CannotEdit for a project's file that a link, which a repository may hold, takes out of the project."""
    if not within:
        return
    real, top = files.real(path), os.path.realpath(within)
    if os.path.commonpath([real, top]) != top:
        raise CannotEdit(f"{path} leads out of {top}, to {real}; remove the link, or install for the user")


def text_of(path: str, raw: bytes | None) -> str:
    """The file's text; empty if there is none. Raises CannotEdit."""
    if raw is None or not raw.strip():
        return ""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotEdit(f"{path} is not UTF-8 text (byte {error.start}); it is left alone") from None


def replace(path: str, before: bytes | None, after: bytes, mode: int = 0o644) -> None:
    """Write the file, and keep what it was before the first of our changes. Raises CannotEdit."""
    known = records.load(path)
    original, folders = before, records.missing_folders(path)
    if known is not None and known.after == before:  # changed again: keep the content before the first time
        original, folders = known.before, known.folders
    records.save(records.Record(path, original, after, folders))
    files.write(path, after, mode)


def undo(path: str, without: bytes | None, now: bytes | None = None, more: bool = False) -> None:
    """Write the file `without` a part of ours (None: delete it), or its content before, if nothing else has changed.

    With `more`, another part of ours stays in it, and its removal then restores the content before. Raises CannotEdit.
    """
    record = records.load(path)
    if more and without is not None:
        files.write(path, without)
        if record is not None and record.after == now:
            records.save(record._replace(after=without))
        return
    if record is not None and (now is None or record.after == now):
        without = record.before
    if without is None:
        files.delete(path)
        if record is not None:
            records.remove_folders(record)
    else:
        files.write(path, without)
    records.forget(path)
