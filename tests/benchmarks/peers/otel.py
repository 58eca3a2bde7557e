"""An SDK tracer provider as an application would have it: batches that are thrown away, or sent to `url`."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class Discard(SpanExporter):
    """The null sink of the peers."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def exporter(url: str) -> SpanExporter:
    """To `url`, or to nowhere without one."""
    if not url:
        return Discard()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=f"{url}/v1/traces")


def provider(url: str) -> TracerProvider:
    """With one batch processor."""
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(exporter(url)))
    return made
