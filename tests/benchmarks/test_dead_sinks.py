"""A call costs no more where its sink is dead than where it is well; all in one interleaved run of one process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypertool
from hypertool.sinks.otlp import OtlpSink
from hypertool.sinks.transport import Transport
from hypertool.spans import providers as span_providers
from tests.benchmarks.rounds import measure, row
from tests.support.dead_servers import DEATHS
from tests.support.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.benchmark
REPLY = {
    "model": "gpt-4o",
    "object": "chat.completion",
    "choices": [],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}
CALLS = 20


class To(OtlpSink):
    """Sends to a server of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        collector = hypertool.get_persona_metrics()
        super().__init__(lambda outcome, spans: collector.count_export("otlp", outcome, spans))

    def connect(self) -> Transport:
        return Transport(f"{self.url}/v1/traces", {"Content-Type": "application/x-protobuf"}, 10.0, "none")


def test_a_dead_sink_adds_nothing_to_a_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        llm = hypertool.ObservableLLM(lambda prompt: REPLY, "gpt-4o")
        llm("x")
        own = span_providers.private.sink
        assert own is not None
        sinks = {"healthy": To(receiver.url)}
        for kind in ("refused", "black hole", "trickling", "unknown authority", "503"):
            sinks[kind] = To(stack.enter_context(DEATHS[kind].serve(tmp_path)))

        def calls_into(sink: To) -> Callable[[], Any]:
            def calls() -> None:
                span_providers.private.sink = sink
                for _ in range(CALLS):
                    llm("x")

            return calls

        try:
            found = measure({name: calls_into(sink) for name, sink in sinks.items()}, rounds=301)
        finally:
            span_providers.private.sink = own
    well = found.pop("healthy")
    for kind, timing in found.items():
        row(
            f"observed call, OTLP {kind}",
            f"{timing.idle / CALLS * 1e6:.1f} us",
            f"{well.idle / CALLS * 1e6:.1f} us, a healthy endpoint",
            f"{timing.ratio(well):.2f} <= 1.3",
        )
    assert {kind: timing.ratio(well) for kind, timing in found.items() if timing.ratio(well) > 1.3} == {}
