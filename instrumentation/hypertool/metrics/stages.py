"""A stage in progress: a context manager for `with` and `async with`."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING

from ..recording.ambient import RUN, STAGE, CurrentStage
from ..recording.cells import OpenStage, StageCells
from ..runtime.either_with import EitherWith

if TYPE_CHECKING:
    from .core import Core


class StageTracker(EitherWith):
    """Times one stage and records its quality gate.

    An exception or a cancellation fails the gate and propagates unchanged; `set_quality_gate` is an explicit verdict.
    With `auto_quality_gate=False` no gate is recorded unless one was set. After the block, `duration_seconds` and
    `quality_gate_passed` (None where no gate was recorded) say what was recorded. Entering switches to the stage's
    persona, unless `switches` is False.
    """

    __slots__ = (
        "_auto",
        "_cells",
        "_core",
        "_epoch",
        "_started",
        "_switches",
        "_token",
        "_verdict",
        "chatmode",
        "duration_seconds",
        "quality_gate_passed",
        "quality_gate_reason",
    )

    def __init__(self, core: Core, cells: StageCells, auto: bool, chatmode: str, switches: bool = True) -> None:
        self._core = core
        self._cells = cells
        self._auto = auto
        self._switches = switches
        self._verdict: bool | None = None
        self._epoch: object = None
        self._started = 0.0
        self._token: Token[CurrentStage | None] | None = None
        self.chatmode = chatmode
        self.duration_seconds = 0.0
        self.quality_gate_passed: bool | None = None
        self.quality_gate_reason: str | None = None

    def set_quality_gate(self, passed: bool, reason: str | None = None) -> None:
        """Set the verdict on this stage. Raises TypeError for anything but True and False."""
        if passed.__class__ is not bool:
            raise TypeError(f"a quality gate passes or fails: expected True or False, not {passed!r:.60}")
        self._verdict = passed
        self.quality_gate_reason = reason
        recorder = self._core.recorder
        with recorder.lock:  # If the process dies from now on, the gate of this stage fails.
            stage = recorder.open_stages.get(id(self))
            if stage is not None:
                recorder.open_stages[id(self)] = stage._replace(gated=True)

    @property
    def workflow(self) -> str:
        """The workflow that the stage belongs to, as it is recorded."""
        return self._cells.workflow

    @property
    def stage(self) -> str:
        """The name of the stage, as it is recorded."""
        return self._cells.stage

    @property
    def persona(self) -> str:
        """The persona that does the stage."""
        return self._cells.persona

    def join(self) -> None:
        """Make this the current stage of the context."""
        self._token = STAGE.set(self)

    def leave(self) -> None:
        """Make the previous stage current again."""
        token, self._token = self._token, None
        if token is not None:
            try:
                STAGE.reset(token)
            except ValueError:  # Ended in another context, which is gone with its task.
                if STAGE.get() is self:
                    STAGE.set(None)

    def __enter__(self) -> StageTracker:
        recorder = self._core.recorder
        cells = self._cells
        run = RUN.get()
        if run is None or run.owner is not recorder.epoch:
            run = recorder.implicit
        session = run.session
        if self._switches and (
            session is None or session.persona != cells.persona or session.chatmode != self.chatmode
        ):
            recorder.switch(run, None, cells.persona, self.chatmode)
        self._epoch = recorder.epoch
        self._started = recorder.clock.monotonic()
        gated = self._auto or self._verdict is not None
        # A third of the time of OpenStage(...).
        stage = tuple.__new__(OpenStage, (cells.workflow, cells.stage, self._started, gated))
        with recorder.lock:
            recorder.open_stages[id(self)] = stage
        if not recorder.dirty:
            recorder.touch()
        self.join()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        recorder = self._core.recorder
        seconds = self.duration_seconds = recorder.clock.monotonic() - self._started
        if recorder.epoch is not self._epoch:
            return  # Forked in the middle of the stage: the parent records it.
        passed = self._verdict
        if self._auto or passed is not None:
            passed = kind is None and passed is not False
        self.quality_gate_passed = passed
        exemplar = recorder.exemplar(seconds)
        cells = self._cells
        with recorder.lock:
            recorder.open_stages.pop(id(self), None)
            cells.histogram.observe(seconds, exemplar)
            if passed is not None:
                (cells.passed if passed else cells.failed).value += 1
            recorder.dirty = True
        self._core.publish_soon()
