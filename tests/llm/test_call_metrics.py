"""The metrics of an observed call that come from its one record: tokens by kind, and the time to a first chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.domain.instruments import TOKEN_KINDS
from hypertool.llm import Usage
from tests.llm.calls import CHAT, CHUNK, LAST, counted


def test_token_kinds_are_the_disjoint_parts(metrics: PersonaMetricsCollector) -> None:
    """Each part of a usage is counted in its own kind, and the kinds add up to the total that is counted beside."""
    usage = Usage(10, 20, 30, 40, 50, cache_write_1h=5)
    ObservableLLM(lambda prompt: {**CHAT, "usage": usage}, "gpt-4o", metrics=metrics)("x", persona="backend-engineer")
    kinds = {kind: tokens for (*_, kind), tokens in counted(metrics, "ltk").items()}
    assert kinds == dict(zip(TOKEN_KINDS, (10, 20, 30, 40, 50), strict=True))
    assert counted(metrics, "tok") == {("backend-engineer", "default", "gpt-4o"): sum(kinds.values())}


def test_first_chunk_time_is_that_of_streams(metrics: PersonaMetricsCollector, monkeypatch: Any) -> None:
    """A streamed call records when its first chunk came, each call once; one that is not streamed records nothing."""
    seconds = iter([100.0, 103.0, 104.0, 105.0, 106.0])
    for module in ("call", "sdk_streams"):
        monkeypatch.setattr(f"hypertool.llm.calls.{module}.perf_counter", lambda: next(seconds))

    def generate(prompt: str) -> Iterator[Any]:
        yield CHUNK
        yield LAST

    list(ObservableLLM(generate, "gpt-4o", metrics=metrics)("x"))
    monkeypatch.undo()
    ObservableLLM(lambda prompt: CHAT, "gpt-4o", metrics=metrics)("x")
    found = {k[1:]: h for k, h in metrics.recorder.histograms.items() if k[0] == "ttf"}
    assert list(found) == [("unknown", "gpt-4o")]
    histogram = found["unknown", "gpt-4o"]
    assert (sum(histogram.buckets), histogram.sum) == (1, 3_000_000)
    assert histogram.buckets[histogram.bounds.index(5.0)] == 1


@pytest.mark.parametrize("outcome", ["error", "success"])
def test_no_usage_counts_no_kind(metrics: PersonaMetricsCollector, outcome: str) -> None:
    """A call whose usage is not known adds to no kind: unknown is not zero."""

    def call(prompt: str) -> str:
        if outcome == "error":
            raise RuntimeError("provider")
        return "text"

    wrapped = ObservableLLM(call, "gpt-4o", metrics=metrics)
    if outcome == "error":
        with pytest.raises(RuntimeError):
            wrapped("x")
    else:
        wrapped("x")
    assert counted(metrics, "ltk") == {}
