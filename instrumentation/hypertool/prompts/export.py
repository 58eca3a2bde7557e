"""Writes prompt and persona files below a folder; what a person has edited stays unless it is forced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import marks
from .targets import File
from .tree import Refused, Tree

CHANGES = ("new", "changed")


class Result(NamedTuple):
    """One file: `state` is `same`, `new`, `changed` (both: written, or to be written), `edited` or `refused`.

    Files of ours that no workflow or persona has any more are `stale`, `stale_edited`, or `removed`.
    """

    file: File
    state: str
    reason: str = ""


def export(
    files: Sequence[File],
    into: str,
    force: bool = False,
    check: bool = False,
    places: Sequence[str] = (),
    prune: bool = False,
) -> list[Result]:
    """Write the files, or only compare where `check`. Nothing is written where one is refused. Raises Refused.

    Other files of ours at `places` (patterns of paths) are stale: with `prune`, those that nobody has edited go.
    """
    tree = Tree(into)
    results = [_compared(tree, file, force) for file in files]
    results += _stale(tree, {file.path for file in files}, places)
    if check or any(result.reason for result in results):
        return results
    for result in results:
        if result.state in CHANGES:
            tree.write(result.file.path, marks.marked(result.file.text))
    return [_pruned(tree, result) if prune else result for result in results]


def _stale(tree: Tree, wanted: set[str], places: Sequence[str]) -> list[Result]:
    found = []
    for path in (path for place in places for path in tree.matching(place) if path not in wanted):
        try:
            content = tree.read(path) or b""
        except Refused:
            continue
        if marks.has_mark(content):
            found.append(Result(File(path, "", (), ""), "stale" if marks.is_ours(content) else "stale_edited"))
    return found


def _pruned(tree: Tree, result: Result) -> Result:
    if result.state != "stale":
        return result
    tree.remove(result.file.path)
    return result._replace(state="removed")


def _compared(tree: Tree, file: File, force: bool) -> Result:
    try:
        before = tree.read(file.path)
    except Refused as error:
        return Result(file, "refused", str(error))
    wanted = marks.marked(file.text)
    if before is None:
        return Result(file, "new")
    if before.replace(b"\r\n", b"\n") == wanted:
        return Result(file, "same")
    if force or marks.is_ours(before):
        return Result(file, "changed")
    reason = (
        "was edited since it was written; keep your text in [workflows.<name>] of hypertool.toml, or overwrite it with "
        "--force"
        if marks.has_mark(before)
        else "exists and is not ours; move it away, or overwrite it with --force"
    )
    return Result(file, "edited", f"{file.path} {reason}")
