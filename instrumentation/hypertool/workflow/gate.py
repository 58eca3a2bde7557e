"""A command as a workflow stage: its duration and exit code become the stage and its quality gate.

The command gets our streams, terminal, signals and the trace context. Its output and exit code pass through unchanged,
even if nothing can be recorded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..metrics.collector import get_persona_metrics
from ..recording.ambient import use_run
from ..runtime.settings import disabled
from ..runtime.workspace import workspace_name
from ..spans import span as spans
from .command import Ended, hold_signals, run_command
from .stage import Stage

if TYPE_CHECKING:
    from ..recording.runs import Run

READY_SECONDS = 2.0
PROGRAM = "hypertool gate"


def run_gate(workflow: str, stage: str, persona: str, command: Sequence[str], output: int | None = None) -> int:
    """Run `command` as that stage; returns its exit code. The persona must be known and the command not empty.

    Its output passes through, or goes into the file with the descriptor `output`. A gate counts no switch and closes
    no session.
    """
    hold_signals()
    environment = dict(os.environ)
    if disabled():
        return run_command(PROGRAM, command, environment, output).code
    metrics = get_persona_metrics()
    run = metrics.open_run(workflow)
    with use_run(run):
        tracker = metrics.track_stage(workflow, stage, persona, chatmode="default", switches=False)
        measured = Stage(stage, tracker, lambda: _attributes(workflow, stage, tracker.persona, run, command), _parent())
        with measured:
            metrics.flush()  # A gate that hangs or is killed is in the store from its start.
            environment.update({key.upper(): value for key, value in measured.trace_headers().items()})
            ended = run_command(PROGRAM, command, environment, output)
            measured.set_quality_gate(ended.passed, _reason(ended))
            measured.set_attributes({"process.exit.code": ended.code})
        sink = spans.sink()
        if sink is not None:
            # After a very short command the sender is still being imported; the exit bound is not meant for that.
            sink.wait_until_ready(READY_SECONDS)
        metrics.close_run(run)
    return ended.code


def _parent() -> Any:
    """The trace context that the caller passed in the environment (None without one)."""
    return spans.remote_parent(
        {"traceparent": os.environ.get("TRACEPARENT", ""), "tracestate": os.environ.get("TRACESTATE", "")}
    )


def _attributes(workflow: str, stage: str, persona: str, run: Run, command: Sequence[str]) -> dict[str, str]:
    return {
        "workflow.name": workflow,
        "stage.name": stage,
        "stage.persona": persona,
        "hypertool.workspace": workspace_name(),
        "hypertool.run_id": run.id,
        "process.executable.name": os.path.basename(command[0]),
    }


def _reason(ended: Ended) -> str | None:
    if ended.passed:
        return None
    return f"interrupted, exit code {ended.code}" if ended.interrupted else f"exit code {ended.code}"
