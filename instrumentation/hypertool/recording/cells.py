"""The cells that hold a recorder's numbers, and its clock."""

from __future__ import annotations

import time as _time
from bisect import bisect_left
from collections.abc import Callable

from ..runtime.light_typing import NamedTuple


class Clock(NamedTuple):
    """The source of time; tests inject their own."""

    time: Callable[[], float] = _time.time
    monotonic: Callable[[], float] = _time.monotonic


class Counter:
    """An integer that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Exemplar(NamedTuple):
    """The trace that one observation of a bucket belongs to; value and time in seconds."""

    trace_id: int
    span_id: int
    value: float
    time: float

    def written(self) -> tuple[str, str, float, float]:
        """As written to a snapshot; rendered late, because most exemplars are soon replaced."""
        return f"{self.trace_id:032x}", f"{self.span_id:016x}", self.value, self.time


class Histogram:
    """Bucket counts (not cumulative) and the sum in microseconds."""

    __slots__ = ("bounds", "buckets", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, seconds: float, exemplar: Exemplar | None = None) -> None:
        """Count one duration; the caller holds the recorder's lock."""
        bucket = bisect_left(self.bounds, seconds)
        self.buckets[bucket] += 1
        self.sum += int(seconds * 1e6 + 0.5)
        if exemplar is not None:
            self.exemplars[bucket] = exemplar


class StageCells(NamedTuple):
    """The cells of one stage, under admitted label values; `chatmode` is what the declared workflow gives it."""

    workflow: str
    stage: str
    persona: str
    chatmode: str
    histogram: Histogram
    passed: Counter
    failed: Counter


class OpenStage(NamedTuple):
    """A stage in progress, as written to a snapshot."""

    workflow: str
    stage: str
    started: float
    gated: bool
