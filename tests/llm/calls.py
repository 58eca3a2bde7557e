"""What the tests of observed calls share: responses, streams, a collector of its own, and what it has counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hypertool import PersonaMetricsCollector
from hypertool.domain.personas import Catalogue, Persona

CHAT = {
    "model": "gpt-4o-2024-08-06",
    "id": "c1",
    "object": "chat.completion",
    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}
LAST = {
    "object": "chat.completion.chunk",
    "model": "gpt-4o",
    "choices": [],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
CHUNK = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"delta": {"content": "x"}}]}


@pytest.fixture(autouse=True)
def isolated(own_settings: None) -> None:
    """Settings of its own for every test."""


@pytest.fixture
def metrics() -> PersonaMetricsCollector:
    """A collector of its own, which knows three personas; one of them blocks."""
    personas = [
        Persona("backend-engineer", 2000),
        Persona("testing-specialist", 1500),
        Persona("strict", 1000, on_exceed="block"),
    ]
    return PersonaMetricsCollector(CollectorRegistry(), catalogue=Catalogue({p.name: p for p in personas}, 0.0))


def counted(metrics: PersonaMetricsCollector, key: str) -> dict[tuple[str, ...], int]:
    """What was counted of one metric, by label values; those above 0."""
    return {k[1:]: c.value for k, c in metrics.recorder.counters.items() if k[0] == key and c.value}


def durations(metrics: PersonaMetricsCollector) -> int:
    """How many calls have a duration."""
    return sum(sum(h.buckets) for k, h in metrics.recorder.histograms.items() if k[0] == "lld")


def stream(*chunks: Any, error: BaseException | None = None) -> Any:
    """A function whose generator yields `chunks`, and then fails or ends."""

    def generate(prompt: str) -> Iterator[Any]:
        yield from chunks
        if error is not None:
            raise error

    return generate
