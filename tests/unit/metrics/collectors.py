"""What the tests of a collector share: one whose clock only tests move, and what it has counted."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hypertool import PersonaMetricsCollector
from hypertool.recording.cells import Clock

BACKEND, TESTING = "backend-engineer", "testing-specialist"
START = 1_700_000_000.0 - 1_700_000_000 % 86400  # midnight


class Hands:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.now = START

    @property
    def clock(self) -> Clock:
        """The clock as collectors and stores take one."""
        return Clock(time=lambda: self.now, monotonic=lambda: self.now)


@pytest.fixture
def hands() -> Hands:
    """Those of the collector's clock."""
    return Hands()


@pytest.fixture
def registry() -> CollectorRegistry:
    """The collector's."""
    return CollectorRegistry()


@pytest.fixture
def collector(registry: CollectorRegistry, hands: Hands) -> PersonaMetricsCollector:
    """One of the test's own."""
    return PersonaMetricsCollector(registry, clock=hands.clock)


def counted(collector: PersonaMetricsCollector, metric: str) -> dict[tuple[str, ...], int]:
    """What was counted of one metric, by label values; those above 0."""
    return {key[1:]: c.value for key, c in collector.recorder.counters.items() if key[0] == metric and c.value}


def everything(collector: PersonaMetricsCollector) -> Any:
    """Whatever a call can change, to compare before and after it."""
    recorder = collector.recorder
    return (
        {key: c.value for key, c in recorder.counters.items() if c.value},
        {key: h.buckets for key, h in recorder.histograms.items() if any(h.buckets)},
        [(a.persona.name, a.used) for run in recorder.runs.values() for a in run.accounts.values()],
    )
