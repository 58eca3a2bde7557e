"""Chooses who creates our spans and which of our sinks get them, at the first span.

If the application has an SDK provider, that creates our spans and its pipeline sends them; we send them to Langfuse
only. Otherwise we use a private provider, never the global one, and only if OTLP or Langfuse is configured.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see below
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..runtime.late_imports import loading
from ..runtime.logs import log, once

if TYPE_CHECKING:
    from ..sinks.base import SpanSink
    from ..sinks.langfuse import Keys, LangfuseAttributes, LangfuseSink

# Both modules register fork hooks. OpenTelemetry would load them late, maybe while another thread forks: Python would
# then run the second half of a hook without the first.
loading.outrank_logging()

SCOPE = "hypertool"
_Sink = TypeVar("_Sink", bound="SpanSink")


class _Api:
    """OpenTelemetry's modules, looked up once: an import statement costs half a microsecond on every call."""

    context: Any
    trace: Any
    kinds: tuple[Any, Any]

    def load(self) -> None:
        """Import them; called before the first span."""
        from opentelemetry import context, trace

        self.context, self.trace = context, trace
        self.kinds = (trace.SpanKind.INTERNAL, trace.SpanKind.CLIENT)


api = _Api()


class _Private:
    """The private provider and the sinks of this process, chosen at the first span.

    `sink` (OTLP) gets the spans of the private provider. `langfuse` gets our spans whichever provider made them.
    """

    def __init__(self) -> None:
        self.decided = False
        self.off = False
        self.tracer: Any = None
        self.kind: Any = None
        self.sink: SpanSink | None = None
        self.langfuse: LangfuseSink | None = None
        self.beside: type[LangfuseAttributes]
        self.application: tuple[Any, Any] = (None, None)

    def decide(self) -> None:
        """Read the environment and choose; runs once."""
        with loading:
            if self.decided:
                return
            from ..sinks import langfuse, otlp

            self.off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
            to_langfuse = langfuse.from_environment()
            if (otlp.configured() or to_langfuse is not None) and not self.off:
                try:
                    self._open(otlp.configured(), to_langfuse)
                except ImportError as error:
                    once.warn(
                        "otel-missing",
                        f"traces are configured but cannot be sent: {error.name or error} is not "
                        "installed (pip install opentelemetry-sdk); metrics go on",
                    )
            if self.tracer is None and not self.off:
                log.info("no spans are made: neither OTEL_EXPORTER_OTLP_ENDPOINT nor the LANGFUSE_* keys are set")
            self.decided = True

    def _open(self, to_otlp: bool, to_langfuse: Keys | None) -> None:
        import importlib.util

        importlib.util.find_spec("opentelemetry.sdk.trace")  # Raises ModuleNotFoundError without the SDK.
        if to_otlp:
            from ..sinks.otlp import NAME, OtlpSink

            self.sink = self._begin(NAME, OtlpSink)
        if to_langfuse is not None:
            self.open_langfuse(to_langfuse)
        self._make_tracer()

    def open_langfuse(self, keys: Keys) -> None:
        """Start sending our spans to Langfuse."""
        from ..metrics.collector import get_persona_metrics
        from ..sinks.langfuse import NAME, LangfuseAttributes, LangfuseSink

        if self.langfuse is None and not self.off:
            self._make_tracer()
            self.beside = LangfuseAttributes
            scores = get_persona_metrics().count_scores(NAME)
            self.langfuse = self._begin(NAME, lambda count: LangfuseSink(keys, count, scores))

    def _make_tracer(self) -> None:
        if self.tracer is not None:
            return
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        from ..runtime.version import __version__
        from .recorded import OwnTracer, RecordedSpan

        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SCOPE}))
        self.kind = RecordedSpan
        self.tracer = OwnTracer(TracerProvider(resource=resource, shutdown_on_exit=False), SCOPE, __version__)
        api.load()

    @staticmethod
    def _begin(name: str, make: Callable[[Callable[[str, int], None]], _Sink]) -> _Sink:
        from ..metrics.collector import get_persona_metrics
        from ..sinks.base import close_at_exit

        collector = get_persona_metrics()
        collector.register_sink(name)

        def count(outcome: str, spans: int) -> None:
            collector.count_export(name, outcome, spans)
            if outcome == "success":
                collector.export_succeeded(name)

        sink = make(count)
        collector.follow_sink(name, lambda: sink.submitted)
        # After the collector: exit hooks run in reverse order, and the store must see what the sinks count at exit.
        close_at_exit()
        sink.start()
        return sink


private = _Private()


def tracer_and_sink() -> tuple[Any, SpanSink | None]:
    """The tracer for the next span, and the OTLP sink that gets it; (None, None) without tracing."""
    if not private.decided:
        private.decide()
    otel = sys.modules.get("opentelemetry.trace")
    if otel is not None:
        provider = otel.get_tracer_provider()
        known, tracer = private.application
        if known is not provider:
            tracer = _application_tracer(otel, provider)
        if tracer is not None:
            return tracer, None
    return private.tracer, private.sink


def _application_tracer(otel: Any, provider: Any) -> Any:
    """A tracer of the application's own provider, or None without one; cached."""
    tracer = None
    if not isinstance(provider, (otel.ProxyTracerProvider, otel.NoOpTracerProvider)):
        from ..runtime.version import __version__

        tracer = provider.get_tracer(SCOPE, __version__)
        api.load()
    private.application = (provider, tracer)
    return tracer


def sink() -> SpanSink | None:
    """Our OTLP sink, or None."""
    return private.sink


def langfuse_sink() -> LangfuseSink | None:
    """Our Langfuse sink, or None; chooses the sinks if that has not happened yet."""
    if not private.decided:
        private.decide()
    return private.langfuse


def open_langfuse(keys: Keys) -> LangfuseSink | None:
    """Send our spans to Langfuse with these keys, unless the process does so already; returns the sink in use."""
    if langfuse_sink() is None:
        try:
            with loading:
                private.open_langfuse(keys)
        except ImportError as error:
            once.warn(
                "otel-missing",
                f"Langfuse is configured but spans cannot be sent: {error.name or error} is not "
                "installed (pip install opentelemetry-sdk)",
            )
    return private.langfuse
