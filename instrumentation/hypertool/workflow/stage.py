"""One stage in progress, as metrics and as a span, with its quality gate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..runtime.either_with import EitherWith
from ..runtime.logs import once
from ..spans import span as spans

if TYPE_CHECKING:
    from ..metrics.stages import StageTracker

_PLAIN = frozenset((bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset))


def negative_verdict(result: Any) -> tuple[bool, str | None]:
    """Whether `result` has a key or attribute `quality_gate_passed` that is False, and its reason."""
    if result is None or result.__class__ in _PLAIN:
        return False, None
    try:
        read = result.get if isinstance(result, Mapping) else functools.partial(getattr, result)
        verdict, reason = read("quality_gate_passed", None), read("quality_gate_reason", None)
    except Exception as error:  # The result's own code failed: that is no verdict.
        once.warn("verdict", f"the verdict of a stage's result could not be read: {type(error).__name__}")
        return False, None
    return verdict is False, reason if isinstance(reason, str) else None


class Stage(EitherWith):
    """One stage in progress; `set_quality_gate` is its verdict.

    After the block, `duration_seconds` and `quality_gate_passed` (None where nothing was recorded) say what was
    recorded. An exception or a cancellation fails the gate, marks the span, and propagates unchanged.
    """

    __slots__ = ("_attributes", "_last", "_name", "_parent", "_span", "_tracker")

    def __init__(
        self,
        name: str,
        tracker: StageTracker | None,
        attributes: Callable[[], Mapping[str, Any]],
        parent: Any = None,
    ) -> None:
        self._name = name
        self._parent = parent
        self._last: dict[str, Any] = {}
        self._tracker = tracker
        self._attributes = attributes
        self._span: spans.OurSpan | None = None

    @property
    def duration_seconds(self) -> float:
        """Duration in seconds; 0 until the stage has ended."""
        return self._tracker.duration_seconds if self._tracker is not None else 0.0

    @property
    def quality_gate_passed(self) -> bool | None:
        """The recorded gate; None before the end, and where none was recorded."""
        return self._tracker.quality_gate_passed if self._tracker is not None else None

    def set_quality_gate(self, passed: bool, reason: str | None = None) -> None:
        """Set whether the gate of this stage passed; the last call counts. Raises TypeError for anything but a bool."""
        if self._tracker is not None:
            self._tracker.set_quality_gate(passed, reason)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes that the span gets when the stage ends."""
        self._last.update(attributes)

    def trace_headers(self) -> dict[str, str]:
        """The W3C headers of its span, for what the stage starts; empty where the stage is not traced."""
        return self._span.traceparent() if self._span is not None else {}

    def judge(self, result: Any) -> None:
        """Fail the gate if the result has a key or attribute `quality_gate_passed` that is False."""
        failed, reason = negative_verdict(result)
        if failed:
            self.set_quality_gate(False, reason)

    def resume(self) -> None:
        """Make the stage and its span the current ones again, for work that is done in steps."""
        if self._tracker is not None:
            self._tracker.join()
        if self._span is not None:
            self._span.activate()

    def suspend(self) -> None:
        """Make the stage and the span before it the current ones again."""
        if self._tracker is not None:
            self._tracker.leave()
        if self._span is not None:
            self._span.suspend()

    def __enter__(self) -> Stage:
        if self._tracker is not None:
            self._tracker.__enter__()
            self._span = spans.start("stage." + self._name, self._attributes, self._parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tracker, span = self._tracker, self._span
        if tracker is None:
            return
        # While the span is current, so that it becomes the histogram's exemplar.
        tracker.__exit__(kind, error, trace)
        if span is not None:
            passed, reason = tracker.quality_gate_passed, tracker.quality_gate_reason
            if passed is not None:
                span.event("quality_gate", {"passed": passed, "reason": reason})
                span.score("quality_gate", passed, reason)
                if not passed and error is None:
                    span.fail(f"quality gate failed: {reason}" if reason else "quality gate failed")
            span.end(
                {
                    "stage.duration_seconds": tracker.duration_seconds,
                    "stage.quality_gate_passed": passed,
                    "stage.quality_gate_reason": reason,
                    **self._last,
                },
                error,
            )
