"""Interleaved rounds of two or more contenders, and the table in which their medians are printed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

ROWS: list[tuple[str, str, str, str]] = []


class Timing(NamedTuple):
    """Seconds of one call in each round; `idle` is that of a round that hardly anybody disturbed."""

    times: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def idle(self) -> float:
        return sorted(self.times)[len(self.times) // 20]

    def ratio(self, peer: Timing) -> float:
        """The median over the rounds of ours to theirs: both had the same noise around them."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.times, peer.times, strict=True))


def measure(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    inner: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """One call of each, over rounds that take turns; collections of garbage happen outside them."""
    for call in contenders.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in contenders.items():
                began = clock()
                for _ in range(inner):
                    call()
                times[name].append((clock() - began) / inner)
    finally:
        gc.enable()
    return {name: Timing(found) for name, found in times.items()}


def row(what: str, ours: str, peer: str, promise: str) -> None:
    """One line of the table."""
    ROWS.append((what, ours, peer, promise))


def table() -> list[str]:
    """The lines, aligned."""
    lines = [("what", "ours", "peer", "promise"), *ROWS]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
