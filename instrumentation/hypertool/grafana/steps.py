"""What a push does to one thing, and why."""

from __future__ import annotations

from dataclasses import dataclass

CREATE, UPDATE, DELETE, UNCHANGED, KEEP = "create", "update", "delete", "unchanged", "keep"
CHANGES = (CREATE, UPDATE, DELETE)


@dataclass(frozen=True)
class Step:
    """`action` is create, update, delete, unchanged, or keep: it is somebody else's, and `why` says whose.

    `kind` is folder, dashboard or rules. A step to delete what is no longer in the files is `stale`.
    """

    kind: str
    name: str
    action: str
    why: str = ""
    stale: bool = False
    difference: str = ""

    @property
    def changes(self) -> bool:
        """Whether it writes."""
        return self.action in CHANGES
