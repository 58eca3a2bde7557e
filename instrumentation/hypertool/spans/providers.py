"""Who makes our spans, and which sinks of ours get them; decided at the first span.

The application has an SDK provider: it makes our spans and its own pipeline sends them, only Langfuse gets them from
us. It has none: a provider of our own, never set as the global one, and only when OTLP or Langfuse is configured.
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
    from ..sinks.langfuse import Beside, Keys, LangfuseSink

# Both register what happens around a fork, and OpenTelemetry would load them late, maybe in the middle of a fork of
# another thread: Python then runs the second half of a hook whose first half it never ran.
loading.outrank_logging()

SCOPE = "hypertool"
_Sink = TypeVar("_Sink", bound="SpanSink")


class _Api:
    """OpenTelemetry's modules, looked up once: an import statement costs half a microsecond on every call."""

    context: Any
    trace: Any
    kinds: tuple[Any, Any]

    def load(self) -> None:
        """Before the first span."""
        from opentelemetry import context, trace

        self.context, self.trace = context, trace
        self.kinds = (trace.SpanKind.INTERNAL, trace.SpanKind.CLIENT)


api = _Api()


class _Private:
    """The provider and the sinks of this process; decided at the first span.

    `sinks` get the spans of our own provider; of the application's spans, which its pipeline sends to wherever OTLP
    goes, only `langfuse` gets ours.
    """

    def __init__(self) -> None:
        self.decided = False
        self.off = False
        self.tracer: Any = None
        self.kind: Any = None
        self.sink: SpanSink | None = None
        self.langfuse: LangfuseSink | None = None
        self.beside: type[Beside]
        self.application: tuple[Any, Any] = (None, None)

    def decide(self) -> None:
        """Read the environment, once."""
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

        importlib.util.find_spec("opentelemetry.sdk.trace")  # raises ModuleNotFoundError where there is no SDK
        if to_otlp:
            from ..sinks.otlp import NAME, OtlpSink

            self.sink = self._begin(NAME, OtlpSink)
        if to_langfuse is not None:
            self.open_langfuse(to_langfuse)
        self._make_tracer()

    def open_langfuse(self, keys: Keys) -> None:
        """Send our spans to Langfuse from now on."""
        from ..metrics.collector import get_persona_metrics
        from ..sinks.langfuse import NAME, Beside, LangfuseSink

        if self.langfuse is None and not self.off:
            self._make_tracer()
            self.beside = Beside
            scores = get_persona_metrics().count_scores(NAME)
            self.langfuse = self._begin(NAME, lambda count: LangfuseSink(keys, count, scores))

    def _make_tracer(self) -> None:
        if self.tracer is not None:
            return
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        from .._version import __version__
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
        # After the collector exists: exits run last in first out, and the store must see what the sinks counted.
        close_at_exit()
        sink.start()
        return sink


private = _Private()


def tracer_and_sink() -> tuple[Any, SpanSink | None]:
    """Who makes a span now, and the OTLP sink that gets it; (None, None) where none is. Looked at on each span."""
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
    """A tracer of the application's own provider, or None where it has none; remembered."""
    tracer = None
    if not isinstance(provider, (otel.ProxyTracerProvider, otel.NoOpTracerProvider)):
        from .._version import __version__

        tracer = provider.get_tracer(SCOPE, __version__)
        api.load()
    private.application = (provider, tracer)
    return tracer


def sink() -> SpanSink | None:
    """Our OTLP sink, where this process has one."""
    return private.sink


def langfuse_sink() -> LangfuseSink | None:
    """Our Langfuse sink, where this process has one; decides it where that has not been done."""
    if not private.decided:
        private.decide()
    return private.langfuse


def open_langfuse(keys: Keys) -> LangfuseSink | None:
    """Send our spans to Langfuse with these keys, where the process does not do it yet; returns the sink in use."""
    if langfuse_sink() is None:
        try:
            with loading:
                private.open_langfuse(keys)
        except ImportError as error:
            once.warn(
                "otel-missing",
                f"Langfuse is configured but nothing can be sent: {error.name or error} is not "
                "installed (pip install opentelemetry-sdk)",
            )
    return private.langfuse
