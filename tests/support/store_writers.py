"""Processes of a store, made with the real recorder and writer but without starting a process for each."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from hypertool.domain.instruments import STAGE_DURATION, TOKENS
from hypertool.domain.personas import Catalogue, Persona, load_catalogue
from hypertool.recording.recorder import Recorder
from hypertool.store.directory import StateDirectory
from hypertool.store.store import Store
from hypertool.store.writer import SnapshotWriter

BACKEND = ("backend-engineer", "default", "simulated")


def store(path: Path) -> Store:
    """A new view of that store, as another process has it."""
    made = Store(StateDirectory(path))
    made.directory.ensure()
    return made


WHOLE: dict[str, Any] = {"v": 1, "t": 1.0, "c": [], "h": [], "m": [], "s": [], "a": [], "e": [], "w": [], "l": []}


def leave(path: Path, **rows: Any) -> Path:
    """The file of a process that has just finished, with those rows."""
    (path / "live").mkdir(parents=True, exist_ok=True)
    file = path / "live" / f"{os.urandom(16).hex()}.json"
    file.write_text(json.dumps(WHOLE | {"t": time.time()} | rows))
    return file


def make_served(path: Path) -> Path:
    """The folders of a host with a service that is this user."""
    for name in ("live", "requests", "shared", "service"):
        (path / name).mkdir(mode=0o700)
    return path


class Process:
    """A writer with numbers of its own. `die` lets go of its snapshot, as the end of a process does."""

    def __init__(self, path: Path, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or load_catalogue(strict=False)
        self.recorder = Recorder()
        self.writer = SnapshotWriter(StateDirectory(path))

    def tokens(self, amount: int, persona: str = "backend-engineer") -> Process:
        """Count tokens, debit the budget."""
        self.recorder.add(amount, TOKENS.key, persona, *BACKEND[1:])
        self.recorder.spend(self.recorder.implicit, self.persona(persona), amount)
        return self

    def stage(self, seconds: float) -> Process:
        """Observe a stage."""
        histogram = self.recorder.histogram(STAGE_DURATION.key, "package_release", "version_bump", "backend-engineer")
        histogram.observe(seconds)
        return self

    def persona(self, name: str) -> Persona:
        """From its catalogue."""
        return self.catalogue.resolve(name)

    def publish(self) -> Process:
        """Write a snapshot."""
        self.writer.write(self.recorder.written(self.catalogue.personas, self.catalogue.loaded_at))
        return self

    def die(self) -> None:
        """Release the lock; the snapshot stays."""
        descriptor = self.writer._descriptor
        assert descriptor is not None, "nothing was published"
        os.close(descriptor)
        self.writer._descriptor = None

    @property
    def file(self) -> Path:
        """Its snapshot."""
        return self.writer._directory.live / f"{self.writer.id}.json"


def total(path: Path) -> int:
    """Tokens of the whole store, read by a new process."""
    return sum(store(path).read().tokens.values())
