"""A command as a workflow stage: its duration and exit code become the stage and its quality gate.

The command gets our own streams and terminal, the signals that we get, and the trace context; what it prints and how
it ends are passed through untouched, also where nothing can be recorded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..metrics.collector import get_persona_metrics
from ..recording.ambient import use_run
from ..runtime.settings import disabled
from ..runtime.workspace import workspace_name
from ..spans import span as spans
from .stage import Stage

if TYPE_CHECKING:
    from ..recording.runs import Run

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOT_FOUND = 127
NOT_EXECUTABLE = 126
READY_SECONDS = 2.0
# si_code of a signal that the kernel made (the terminal's Ctrl-C): the command, in our process group, has it as well.
_SI_KERNEL = 0x80


class Ended(NamedTuple):
    """How a command ended: its exit code as a shell gives it, and whether somebody interrupted it."""

    code: int
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether that is a passed gate."""
        return self.code == 0 and not self.interrupted


def run_gate(workflow: str, stage: str, persona: str, command: Sequence[str]) -> int:
    """Run `command` as that stage; returns its exit code. The persona must be known, the command must not be empty.

    Counts no switch and closes no session: a gate is measured, the persona goes on.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Before there is any thread that could take a signal: they all come to sigwaitinfo, in this thread, in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
    environment = dict(os.environ)
    if disabled():
        return run_command(command, environment).code
    metrics = get_persona_metrics()
    run = metrics.open_run(workflow)
    with use_run(run):
        tracker = metrics.track_stage(workflow, stage, persona, chatmode="default", switches=False)
        measured = Stage(stage, tracker, lambda: _attributes(workflow, stage, tracker.persona, run, command), _parent())
        with measured:
            metrics.flush()  # A gate that hangs or is killed is in the store from its start.
            environment.update({key.upper(): value for key, value in measured.trace_headers().items()})
            ended = run_command(command, environment)
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


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Run it in the foreground and pass signals on; FORWARDED and SIGCHLD must be blocked in every thread."""
    try:
        process = _spawn(command, environment)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        _say(f"{command[0]}: {'command not found' if missing else error.strerror}")
        return Ended(NOT_FOUND if missing else NOT_EXECUTABLE)
    interrupted = False
    while True:
        information = signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD})
        if information.si_signo != signal.SIGCHLD:
            interrupted = True
            if information.si_code != _SI_KERNEL:
                os.kill(process, information.si_signo)  # not reaped yet, so the id is still the command's
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return Ended(code if code >= 0 else 128 - code, interrupted or code < 0)


def _spawn(command: Sequence[str], environment: Mapping[str, str]) -> int:
    # SIGPIPE and SIGXFSZ: Python ignores them, and what is ignored stays so in the command.
    options = {"setsigmask": (), "setsigdef": (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        return os.posix_spawnp(command[0], list(command), dict(environment), **options)  # type: ignore[arg-type]
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without `#!`: a shell would run it itself.
        return os.posix_spawn("/bin/sh", ["sh", *command], dict(environment), **options)  # type: ignore[arg-type]


def _reason(ended: Ended) -> str | None:
    if ended.passed:
        return None
    return f"interrupted, exit code {ended.code}" if ended.interrupted else f"exit code {ended.code}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"hypertool gate: {text}", file=sys.stderr)
