"""Which stage comes next in the workspace's current workflow, and what a gate adds to it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from ..domain.personas import Catalogue, load_catalogue
from ..domain.workflows import Stage, Workflow
from ..runtime.settings import RUN_ID
from ..runtime.workspace import find_workspace
from ..store.progress import Progress, ProgressFile, StageProgress
from .declared import find_workflow, from_prompt_file


class Next(NamedTuple):
    """What comes next: the workflow, how many of its stages have passed, and the next one (None: all are done).

    `state` is the next stage's: `waiting`, `running` (or interrupted) or `failed`; `done` where all have passed.
    """

    workflow: str
    stage: Stage | None
    state: str
    passed: int
    total: int
    run_id: str


def next_stage(
    workspace: Path | None = None, workflow: str | None = None, catalogue: Catalogue | None = None
) -> Next | None:
    """The next stage of the workspace's current workflow, or None where none was started.

    `workspace` is a directory in it (default: the working directory). With `workflow`, a declared workflow or a prompt
    file, the next stage of that one, which is its first where it is not the current one. Raises HypertoolError: the
    workflow is not declared (any more), or the progress cannot be read.
    """
    catalogue = catalogue or load_catalogue()
    progress = ProgressFile(find_workspace(workspace)).read()
    if workflow is not None:
        wanted = find_workflow(workflow, catalogue)
        if progress is None or progress.workflow != wanted.name:
            return Next(wanted.name, wanted.stages[0], "waiting", 0, len(wanted.stages), "")
    else:
        if progress is None:
            return None
        wanted = find_workflow(origin(progress), catalogue)
    stages = [progress.stage(stage.name) or StageProgress(stage.name) for stage in wanted.stages]
    passed = sum(stage.state in ("passed", "skipped") for stage in stages)
    for stage, known in zip(wanted.stages, stages, strict=True):
        if known.state in ("passed", "skipped"):
            continue
        if known.state == "failed" and wanted.on_fail == "continue":
            continue
        return Next(wanted.name, stage, known.state, passed, len(stages), progress.run_id)
    return Next(wanted.name, None, "done", passed, len(stages), progress.run_id)


def origin(progress: Progress) -> str:
    """What `find_workflow` finds the run's workflow by: its prompt file, else its name."""
    source = progress.source
    return source if from_prompt_file(source) else progress.workflow


def begin(workflow: Workflow, run_id: str, skipped: tuple[str, ...] = (), traceparent: str = "") -> Progress:
    """The progress of a new run."""
    source = os.path.abspath(workflow.source) if from_prompt_file(workflow.source) else workflow.source
    stages = tuple(StageProgress(s.name, "skipped" if s.name in skipped else "waiting") for s in workflow.stages)
    return Progress(workflow.name, source, run_id, time.time(), stages, traceparent=traceparent)


def note_gate(catalogue: Catalogue, workflow: str, stage: str, passed: bool, seconds: float) -> bool:
    """Note a stage that `hypertool gate` has run, for the workspace's progress; returns whether it was noted.

    Only stages of declared workflows are, and none inside `hypertool workflow run`, which keeps its own. A gate of the
    first stage after the last one, or of another workflow, begins anew. Raises HypertoolError.
    """
    declared = catalogue.workflows.get(workflow)
    if declared is None or declared.stage(stage) is None or RUN_ID.read():
        return False
    file = ProgressFile(find_workspace())
    with file.held() as free:
        if not free:
            return False
        progress = file.read()
        if (
            progress is None
            or progress.workflow != workflow
            or progress.stage(stage) is None
            or (progress.ended and stage == declared.stages[0].name)
        ):
            progress = begin(declared, os.urandom(16).hex())
        known = progress.stage(stage) or StageProgress(stage)
        progress = progress.with_stage(
            known._replace(
                state="passed" if passed else "failed",
                attempts=known.attempts + 1,
                seconds=known.seconds + seconds,
                process=None,
            )
        )
        done = all(one.state in ("passed", "skipped") for one in progress.stages)
        file.write(progress._replace(ended=time.time() if done else 0.0))
    return True
