"""One step of a pattern inside a stage: a child span, a duration and a gate of its own; it costs the stage's persona.

A step is recorded as the stage `<stage>.<name>`, in the metrics and in the trace. Names are part of the code
(`attempt`, `hit`, the name of a route): they become values of the label `stage`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from ..metrics.collector import get_persona_metrics
from ..recording.ambient import STAGE, CurrentStage, current_place
from ..runtime.either_with import EitherWith
from ..runtime.logs import once
from ..runtime.settings import disabled
from ..workflow.stage import Stage, negative_verdict

_T = TypeVar("_T")


class _Inside(NamedTuple):
    """The step in progress: its own stage, and the name of the stage around all steps."""

    stage: CurrentStage
    base: str


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives an awaitable: an async function, a partial of one, or an object that is called so."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def settled(result: _T, instead: str = "make the function itself async (`async def`)") -> _T:
    """The result of a function that is not async. Raises TypeError where it is an awaitable, which would not be run."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"a function that is not async gave an awaitable ({type(result).__name__}); {instead}")
    return result


_INSIDE: ContextVar[_Inside | None] = ContextVar("hypertool_step", default=None)


class Step(EitherWith):
    """One step of a pattern, with `with` or `async with`; `attributes` go to its span.

    An exception or a cancellation fails its gate, and propagates unchanged. Outside of a stage nothing is recorded,
    which is logged once.
    """

    def __init__(self, pattern: str, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        self._pattern = pattern
        self._name = name
        self._given = dict(attributes or {})
        self._stage: Stage | None = None
        self._token: Token[_Inside | None] | None = None

    def judge(self, result: Any) -> bool:
        """Fail the gate if `result` has a verdict `quality_gate_passed` that is False, and return False then."""
        failed, reason = negative_verdict(result)
        if failed:
            self.set_quality_gate(False, reason)
        return not failed

    def set_quality_gate(self, passed: bool, reason: str | None = None) -> None:
        """Set the verdict on this step. Raises TypeError for anything but a bool."""
        if self._stage is not None:
            self._stage.set_quality_gate(passed, reason)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes that the span gets at the end of the step."""
        if self._stage is not None:
            self._stage.set_attributes(attributes)

    def __enter__(self) -> Step:
        around = STAGE.get()
        if around is None:
            if not disabled():
                once.warn(
                    "step-outside",
                    f"the pattern {self._pattern!r} runs outside of a stage, so its steps are not recorded; "
                    "call it inside `stage_context` or `trace_stage`",
                )
            return self
        inside = _INSIDE.get()
        base = inside.base if inside is not None and inside.stage is around else around.stage
        stage = self._stage = self._open(around.workflow, f"{base}.{self._name}")
        stage.__enter__()
        entered = STAGE.get()
        if entered is not None:
            self._token = _INSIDE.set(_Inside(entered, base))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                _INSIDE.reset(token)
            except ValueError:  # Ended in another context, which is gone with its task.
                _INSIDE.set(None)
        if self._stage is not None:
            self._stage.__exit__(kind, error, trace)

    def _open(self, workflow: str, name: str) -> Stage:
        persona, chatmode = current_place()
        assert persona is not None  # A stage has one.
        # A step is its persona's own: parallel stages would otherwise count a switch at each attempt.
        tracker = get_persona_metrics().track_stage(workflow, name, persona, chatmode=chatmode, switches=False)
        return Stage(
            name,
            tracker,
            lambda: {
                **self._given,
                "stage.name": name,
                "stage.persona": tracker.persona,
                "stage.chatmode": tracker.chatmode,
                "workflow.name": workflow,
                "hypertool.pattern": self._pattern,
            },
        )
