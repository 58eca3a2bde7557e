"""How far the current workflow of a workspace is: a small file of its user, replaced atomically."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import HypertoolError
from ..runtime.foreign_files import Folder, locked
from ..runtime.light_typing import Any, NamedTuple
from . import workspace_files
from .directory import full, open_personal

FORMAT = 1
FILE_BYTES = 1_000_000
STATES = ("waiting", "running", "passed", "failed", "skipped")
LOCK_SECONDS = 2.0


class StageProgress(NamedTuple):
    """One stage: its state (one of STATES), how often it was tried, seconds and tokens of all tries together.

    `process` is the process id and start time of a command that runs for it, `began` the start of its last try (seconds
    since the epoch; 0 if unknown).
    """

    name: str
    state: str = "waiting"
    attempts: int = 0
    seconds: float = 0.0
    tokens: int = 0
    process: tuple[int, int] | None = None
    began: float = 0.0


class Progress(NamedTuple):
    """A run of a workflow in a workspace; `source` is "package", a configuration file or a prompt file.

    `started` and `ended` are seconds since the epoch (`ended` 0: not ended). `traceparent` is that of its first span.
    """

    workflow: str
    source: str
    run_id: str
    started: float
    stages: tuple[StageProgress, ...]
    ended: float = 0.0
    traceparent: str = ""
    agent: str = ""

    def with_stage(self, stage: StageProgress) -> Progress:
        """The same with one stage replaced."""
        return self._replace(stages=tuple(stage if one.name == stage.name else one for one in self.stages))

    def stage(self, name: str) -> StageProgress | None:
        """The progress of that stage, or None."""
        return next((stage for stage in self.stages if stage.name == name), None)


class ProgressFile:
    """The progress of one workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._directory = workspace_files.directory("workflows")
        name = workspace_files.key(workspace)
        self._file, self._lock = f"{name}.json", f"{name}.lock"

    @property
    def path(self) -> Path:
        """The path of the file, for messages."""
        return self._directory / self._file

    def read(self) -> Progress | None:
        """The progress, or None without a run. Raises HypertoolError for a file that cannot be understood."""
        try:
            with Folder(self._directory.parent, self._directory.name) as folder:
                return _parse(folder.read(self._file, FILE_BYTES, os.geteuid()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable("read", error) from None
        except (ValueError, RecursionError) as error:
            why = f"the progress of workflows in {self.path} cannot be understood ({error})"
            raise HypertoolError(f"{why}; remove the file, and start the workflow anew") from None

    def write(self, progress: Progress) -> None:
        """Replace the progress, durably. Raises HypertoolError."""
        document = {"format": FORMAT, "workspace": str(self.workspace), **progress._asdict()}
        document["stages"] = [stage._asdict() for stage in progress.stages]
        data = json.dumps(document, ensure_ascii=True).encode("ascii")
        try:
            with open_personal(self._directory) as folder:
                folder.replace(self._file, data, 0o600)
        except OSError as error:
            raise self._unusable("written", error) from None

    @contextlib.contextmanager
    def held(self, seconds: float = LOCK_SECONDS) -> Iterator[bool]:
        """Keep other runs out of this workspace; yields False if one is in progress."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(open_personal(self._directory))
                descriptor = stack.enter_context(locked(folder, self._lock, seconds))
            except OSError as error:
                raise self._unusable("written", error) from None
            yield descriptor is not None

    def _unusable(self, what: str, error: OSError) -> HypertoolError:
        help_ = (
            "free some space there"
            if full(error)
            else "make it a directory of yours, or set XDG_STATE_HOME or HYPERTOOL_STATE_DIR to one"
        )
        return HypertoolError(
            f"the progress of workflows in {self._directory} cannot be {what}: {error.strerror or error}; {help_}"
        )


def _parse(data: bytes) -> Progress:
    document = json.loads(data)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"expected a JSON object with format {FORMAT}")
    stages = document.get("stages")
    if not isinstance(stages, list) or not stages:
        raise ValueError("expected a list of stages")
    return Progress(
        _text(document, "workflow"),
        _text(document, "source"),
        _text(document, "run_id"),
        _number(document, "started"),
        tuple(_stage(stage) for stage in stages),
        _number(document, "ended"),
        _text(document, "traceparent"),
        _text(document, "agent"),
    )


def _stage(found: Any) -> StageProgress:
    if not isinstance(found, dict) or found.get("state") not in STATES:
        raise ValueError(f"expected a stage with one of the states {', '.join(STATES)}")
    process = found.get("process")
    if process is not None:
        if not isinstance(process, list) or len(process) != 2 or not all(isinstance(one, int) for one in process):
            raise ValueError("expected a process id and a start time")
        process = (process[0], process[1])
    return StageProgress(
        _text(found, "name"),
        found["state"],
        int(_number(found, "attempts")),
        _number(found, "seconds"),
        int(_number(found, "tokens")),
        process,
        _number({"began": 0, **found}, "began"),
    )


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise ValueError(f"expected a text as {key}")
    return value


def _number(document: dict[str, Any], key: str) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        raise ValueError(f"expected a number as {key}")
    return float(value)
