"""What one user leaves in the store has limits for every reader, and does not keep others from being read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hypertool.store import view
from tests.support.store_writers import Process, store, total

WHOLE: dict[str, Any] = {"v": 1, "t": 1.0, "c": [], "h": [], "m": [], "s": [], "a": [], "e": [], "w": [], "l": []}
TOKENS = ["tok", "backend-engineer", "default", "simulated"]


def leave(path: Path, **rows: Any) -> Path:
    """A finished process's file."""
    (path / "live").mkdir(parents=True, exist_ok=True)
    file = path / "live" / f"{os.urandom(16).hex()}.json"
    file.write_text(json.dumps(WHOLE | {"t": time.time()} | rows))
    return file


def test_files_that_come_and_go_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who makes and removes files all the time keeps no reader from the others' numbers."""
    Process(tmp_path).tokens(10).publish()
    names = view._names

    def names_and_vanish(*arguments: Any) -> Any:
        short = leave(tmp_path)
        found = names(*arguments)
        short.unlink()
        return found

    monkeypatch.setattr(view, "_names", names_and_vanish)
    assert total(tmp_path) == 10
