"""Whether the owners of members' files can be told apart: a user namespace shows all unmapped users as one."""

from __future__ import annotations

from pathlib import Path

_EVERY_USER = 2**32 - 1


def owners_are_distinct(uid_map: str) -> bool:
    """Whether a `/proc/self/uid_map` maps every user; otherwise files of different users have one owner."""
    mapped = sum(int(line.split()[2]) for line in uid_map.splitlines() if len(line.split()) == 3)
    return mapped >= _EVERY_USER


def namespace_hides_owners() -> bool:
    """Whether this process sees the files of several users as one user's."""
    try:
        return not owners_are_distinct(Path("/proc/self/uid_map").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
