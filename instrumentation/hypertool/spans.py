"""Which tracer makes our spans, if any, and how a span of ours begins and ends.

The application has an SDK provider: it makes our spans and its own pipeline sends them. It has none: a provider of
our own, never set as the global one, and only when OTLP is configured. Without either no span is made, and
OpenTelemetry is not even imported.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .loading import loading
from .logs import once
from .redaction import MESSAGE_LIMIT, STACK_LIMIT, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sinks.base import SpanSink

_SCOPE = "hypertool"
_ATTRIBUTE_LIMIT = 4_000


def disabled() -> bool:
    """Whether `HYPERTOOL_DISABLED=1` makes everything a pass-through."""
    return os.environ.get("HYPERTOOL_DISABLED") == "1"


class _Private:
    """The provider and the sink of a process whose application has no provider; decided at the first span."""

    def __init__(self) -> None:
        self.decided = False
        self.off = False
        self.tracer: Any = None
        self.sink: SpanSink | None = None
        self.application: tuple[Any, Any] = (None, None)

    def decide(self) -> None:
        """Read the environment, once."""
        loading.outrank_logging()
        with loading:
            if self.decided:
                return
            from .sinks import otlp

            self.off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
            if otlp.configured() and not self.off:
                try:
                    self._open()
                except ImportError as error:
                    once.warn("otel-missing", f"traces are configured but cannot be sent: {error.name or error} is not "
                              "installed (pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http); "
                              "metrics go on")
            self.decided = True

    def _open(self) -> None:
        import importlib.util

        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        if importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is None:
            raise ImportError("no exporter", name="opentelemetry-exporter-otlp-proto-http")
        from . import __version__
        from .collector import get_persona_metrics
        from .sinks.base import close_at_exit
        from .sinks.otlp import NAME, OtlpSink

        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": _SCOPE}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        collector = get_persona_metrics()
        collector.register_sink(NAME)

        def count(outcome: str, spans: int) -> None:
            collector.count_export(NAME, outcome, spans)
            if outcome == "success":
                collector.export_succeeded(NAME)

        sink = OtlpSink(count)
        # After the collector exists: exits run last in first out, and the store must see what the sinks counted.
        close_at_exit()
        sink.start()
        self.tracer, self.sink = provider.get_tracer(_SCOPE, __version__), sink


_private = _Private()


def _application_tracer() -> Any:
    """A tracer of the application's own provider, or None where it has none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, (api.ProxyTracerProvider, api.NoOpTracerProvider)):
        return None
    known, tracer = _private.application
    if known is not provider:
        from . import __version__

        tracer = provider.get_tracer(_SCOPE, __version__)
        _private.application = (provider, tracer)
    return tracer


def _tracer() -> tuple[Any, SpanSink | None]:
    """Who makes a span now, and the sink that gets it; (None, None) where none is wanted. Looked at on each span."""
    found = _application_tracer()
    if found is not None:
        return found, None
    if not _private.decided:
        _private.decide()
    return _private.tracer, _private.sink


def sink() -> SpanSink | None:
    """Our OTLP sink, where this process has one."""
    return _private.sink


def remote_parent(carrier: Mapping[str, str]) -> Any:
    """The context of a W3C `traceparent` (and `tracestate`), or None where there is none or no span would be made."""
    if not carrier.get("traceparent") or _tracer()[0] is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carrier))


def start(name: str, attributes: Callable[[], Mapping[str, Any]], parent: Any = None) -> OurSpan | None:
    """Begin a span under `parent` (else the current one) and make it current; None where no span is wanted.

    `attributes` is called only where a span is made. Never raises: what goes wrong in a provider is logged once,
    and the work goes on without a span.
    """
    if _private.tracer is None and _private.decided and "opentelemetry.trace" not in sys.modules:
        return None
    try:
        tracer, to = _tracer()
        if tracer is None or _private.off:
            return None
        return OurSpan(tracer.start_span(name, context=parent, attributes=fit_all(attributes())), to)
    except Exception as error:  # a foreign provider, sampler or environment value must not stop the caller's work
        once.warn("span-start", f"spans cannot be made: {type(error).__name__}: {redact(str(error), 200)}")
        return None


class OurSpan:
    """A span that is current from its start until `end`, and goes to `sink` then (None: its provider sends it)."""

    __slots__ = ("_sink", "_span", "_token")

    def __init__(self, span: Any, sink: SpanSink | None) -> None:
        self._span = span
        self._sink = sink
        self._token: Any = None
        self.activate()

    def activate(self) -> None:
        """Make it the current span."""
        from opentelemetry import context, trace

        self._token = context.attach(trace.set_span_in_context(self._span))

    def suspend(self) -> None:
        """Make the span before it the current one again."""
        token, self._token = self._token, None
        if token is not None:
            from opentelemetry import context, trace

            # Elsewhere (a generator fixture that is ended by another task) there is nothing to take back.
            if trace.get_current_span() is self._span:
                context.detach(token)

    def traceparent(self) -> dict[str, str]:
        """Its W3C headers, to be passed on."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(self._span))
        return carrier

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event."""
        self._guard(lambda: self._span.add_event(name, fit_all(attributes)))

    def end(self, attributes: Mapping[str, Any], error: BaseException | None = None) -> None:
        """Set the last attributes, record `error` (type; message and stack redacted), and hand the span over."""
        def finish() -> None:
            self._span.set_attributes(fit_all(attributes))
            if error is not None:
                self._record(error)
            self._span.end()
            if self._sink is not None and self._span.get_span_context().trace_flags.sampled:
                self._sink.submit(self._span)

        self._guard(self.suspend)
        self._guard(finish)

    def _record(self, error: BaseException) -> None:
        from opentelemetry.trace import Status, StatusCode

        kind = type(error).__qualname__ if type(error).__module__ == "builtins" \
            else f"{type(error).__module__}.{type(error).__qualname__}"
        message = redact(_text_of(error), MESSAGE_LIMIT)
        self._span.add_event("exception", {
            "exception.type": kind, "exception.message": message, "exception.stacktrace": _stack_of(error)})
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}" if message else kind))

    @staticmethod
    def _guard(step: Any) -> None:
        try:
            step()
        except Exception as error:  # a foreign span implementation must not stop the caller's work
            once.warn("span-end", f"a span could not be written: {type(error).__name__}: {redact(str(error), 200)}")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # a user's __str__ may fail
        return f"<its text cannot be made: {type(broken).__name__}>"


def _stack_of(error: BaseException) -> str:
    """The innermost frames: the end of a stack says where it broke."""
    try:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-30))
    except Exception as broken:
        return f"<no stack: {type(broken).__name__}>"
    return redact(frames[-STACK_LIMIT:], STACK_LIMIT)


def fit_all(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attribute values as OpenTelemetry takes them: primitives and sequences of one kind of them, else their text."""
    return {key: _fit(value) for key, value in attributes.items() if value is not None}


def _fit(value: Any) -> str | bool | int | float | Sequence[str]:
    if isinstance(value, str):
        return redact(value, _ATTRIBUTE_LIMIT)
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        # OTLP integers have 64 bits; a larger one would fail the whole batch.
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(str(item), 200) for item in list(value)[:100]]
    return redact(str(value), _ATTRIBUTE_LIMIT)
