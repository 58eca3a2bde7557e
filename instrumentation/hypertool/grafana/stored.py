"""What a dashboard in Grafana says about who wrote it, and what follows for a push."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .sources import Dashboard
from .steps import CREATE, DELETE, KEEP, UNCHANGED, UPDATE, Step


class Folder(NamedTuple):
    """The folder of the dashboards: who else manages it (empty for nobody), and whether it is inside another one."""

    manager: str
    nested: bool


@dataclass(frozen=True)
class Stored:
    """A dashboard as it is in Grafana.

    `manager`: who else manages it (terraform, repo, ...), empty for nobody. `checksum`: of the file that we last
    pushed, empty if our marks are gone, which a save in the browser does. `touched`: it was saved since our push.
    """

    uid: str
    title: str
    folder: str
    manager: str
    checksum: str
    touched: bool
    editor: str = ""
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def step(wanted: Dashboard, stored: Stored | None, folder: str, force: bool) -> Step:
    """What is to be done so that the file is in Grafana."""
    if stored is None:
        return Step("dashboard", wanted.uid, CREATE)
    kept = _kept(stored, folder)
    if kept and (stored.manager or not force):
        return Step("dashboard", wanted.uid, KEEP, kept)
    if kept:
        return Step("dashboard", wanted.uid, UPDATE, f"{kept}; --force")
    if stored.checksum == wanted.checksum:
        return Step("dashboard", wanted.uid, UNCHANGED)
    return Step("dashboard", wanted.uid, UPDATE, "the file has changed")


def stale_step(stored: Stored, folder: str, force: bool) -> Step:
    """What is to be done with one of ours that is no longer among the files.

    One that bears our label and that this command never wrote is somebody's copy: `force` does not delete it either.
    """
    kept = _kept(stored, folder)
    if kept and (stored.manager or not stored.checksum or not force):
        return Step("dashboard", stored.uid, KEEP, kept, stale=True)
    return Step("dashboard", stored.uid, DELETE, "no longer among the files", stale=True)


def _kept(stored: Stored, folder: str) -> str:
    """Why this is not ours to write; empty if it is."""
    if stored.manager:
        return f"managed by {stored.manager}: change it there, or remove it there first"
    by = f" by {stored.editor}" if stored.editor else ""
    if not stored.checksum:
        return f"written{by} and not by this command"
    if stored.touched:
        return f"edited{by} since the last push"
    if stored.folder != folder:
        return f"moved to the folder {stored.folder or 'at the top'} since the last push"
    return ""
