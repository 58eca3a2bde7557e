"""Where a user's ledger is."""

from __future__ import annotations

from pathlib import Path

from ...store.directory import own_directory, personal

FILE = "ledger.db"


def directory() -> Path:
    """This user's ledger directory: beside the store that HYPERTOOL_STATE_DIR names, else in the user's own state."""
    beside = personal("agents")
    if beside is not None:
        return beside
    return own_directory() / "agents"


def exists() -> bool:
    """Whether this user has a ledger."""
    return (directory() / FILE).exists()
