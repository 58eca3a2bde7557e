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
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..metrics.collector import get_persona_metrics
from ..metrics.core import disabled
from ..recording.ambient import use_run
from ..recording.runs import Session
from ..runtime.workspace import workspace_name
from ..spans import span as spans

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        tracker = metrics.track_stage(workflow, stage, persona, chatmode="default")
        with _without_switching(run, metrics.catalogue.resolve(persona).name, tracker.chatmode):
            tracker.__enter__()
            metrics.flush()  # a gate that hangs, or is killed, is in the store from its start
        parent = spans.remote_parent(
            {"traceparent": environment.get("TRACEPARENT", ""), "tracestate": environment.get("TRACESTATE", "")}
        )
        span = spans.start(
            f"stage.{stage}",
            lambda: {
                "workflow.name": workflow,
                "stage.name": stage,
                "stage.persona": metrics.catalogue.resolve(persona).name,
                "hypertool.workspace": workspace_name(),
                "hypertool.run_id": run.id,
                "process.executable.name": os.path.basename(command[0]),
            },
            parent,
        )
        if span is not None:
            environment.update({key.upper(): value for key, value in span.traceparent().items()})
        ended = run_command(command, environment)
        tracker.set_quality_gate(ended.passed, _reason(ended))
        tracker.__exit__(None, None, None)
        if span is not None:
            span.event("quality_gate", {"passed": ended.passed, "reason": _reason(ended)})
            span.end(
                {
                    "stage.duration_seconds": tracker.duration_seconds,
                    "stage.quality_gate_passed": ended.passed,
                    "stage.quality_gate_reason": _reason(ended),
                    "process.exit.code": ended.code,
                }
            )
            sink = spans.sink()
            if sink is not None:
                # A command of a moment: what sending needs is still being imported, which no exit bound is about.
                sink.wait_until_ready(READY_SECONDS)
        metrics.close_run(run)
    return ended.code


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


@contextlib.contextmanager
def _without_switching(run: Run, persona: str, chatmode: str) -> Iterator[None]:
    """The run already has the stage's persona while the stage is entered, so that entering counts no switch."""
    run.session = Session(persona, chatmode, time.monotonic(), False)
    try:
        yield
    finally:
        run.session = None


def _reason(ended: Ended) -> str | None:
    if ended.passed:
        return None
    return f"interrupted, exit code {ended.code}" if ended.interrupted else f"exit code {ended.code}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"hypertool gate: {text}", file=sys.stderr)
