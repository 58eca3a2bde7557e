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
from typing import TYPE_CHECKING, Any, TypeVar

from .loading import loading
from .logs import once
from .redaction import MESSAGE_LIMIT, STACK_LIMIT, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sinks.base import SpanSink
    from .sinks.langfuse import Keys, LangfuseSink

_SCOPE = "hypertool"
_ATTRIBUTE_LIMIT = 4_000
_Sink = TypeVar("_Sink", bound="SpanSink")


def disabled() -> bool:
    """Whether `HYPERTOOL_DISABLED=1` makes everything a pass-through."""
    return os.environ.get("HYPERTOOL_DISABLED") == "1"


class _Private:
    """The provider and the sinks of this process; decided at the first span.

    `sinks` get the spans of our own provider; of the application's spans, which its pipeline sends to wherever OTLP
    goes, only `langfuse` gets ours.
    """

    def __init__(self) -> None:
        self.decided = False
        self.off = False
        self.tracer: Any = None
        self.sink: SpanSink | None = None
        self.langfuse: LangfuseSink | None = None
        self.application: tuple[Any, Any] = (None, None)

    def decide(self) -> None:
        """Read the environment, once."""
        loading.outrank_logging()
        with loading:
            if self.decided:
                return
            from .sinks import langfuse, otlp

            self.off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
            to_langfuse = langfuse.from_environment()
            if (otlp.configured() or to_langfuse is not None) and not self.off:
                try:
                    self._open(otlp.configured(), to_langfuse)
                except ImportError as error:
                    once.warn("otel-missing", f"traces are configured but cannot be sent: {error.name or error} is not "
                              "installed (pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http); "
                              "metrics go on")
            self.decided = True

    def _open(self, to_otlp: bool, to_langfuse: Keys | None) -> None:
        import importlib.util

        if importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is None:
            raise ImportError("no exporter", name="opentelemetry-exporter-otlp-proto-http")
        if to_otlp:
            from .sinks.otlp import NAME, OtlpSink

            self.sink = self._begin(NAME, OtlpSink)
        if to_langfuse is not None:
            self.open_langfuse(to_langfuse)
        self._make_tracer()

    def open_langfuse(self, keys: Keys) -> None:
        """Send our spans to Langfuse from now on."""
        from .sinks.langfuse import NAME, LangfuseSink

        if self.langfuse is None and not self.off:
            self._make_tracer()
            self.langfuse = self._begin(NAME, lambda count: LangfuseSink(keys, count))

    def _make_tracer(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        from . import __version__

        if self.tracer is None:
            resource = Resource.create()
            if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
                resource = resource.merge(Resource({"service.name": _SCOPE}))
            self.tracer = TracerProvider(resource=resource, shutdown_on_exit=False).get_tracer(_SCOPE, __version__)

    @staticmethod
    def _begin(name: str, make: Callable[[Callable[[str, int], None]], _Sink]) -> _Sink:
        from .collector import get_persona_metrics
        from .sinks.base import close_at_exit

        collector = get_persona_metrics()
        collector.register_sink(name)

        def count(outcome: str, spans: int) -> None:
            collector.count_export(name, outcome, spans)
            if outcome == "success":
                collector.export_succeeded(name)

        sink = make(count)
        # After the collector exists: exits run last in first out, and the store must see what the sinks counted.
        close_at_exit()
        sink.start()
        return sink


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
    """Who makes a span now, and the OTLP sink that gets it; (None, None) where none is. Looked at on each span."""
    if not _private.decided:
        _private.decide()
    found = _application_tracer()
    if found is not None:
        return found, None
    return _private.tracer, _private.sink


def sink() -> SpanSink | None:
    """Our OTLP sink, where this process has one."""
    return _private.sink


def langfuse_sink() -> LangfuseSink | None:
    """Our Langfuse sink, where this process has one; decides it where that has not been done."""
    if not _private.decided:
        _private.decide()
    return _private.langfuse


def open_langfuse(keys: Keys) -> LangfuseSink | None:
    """Send our spans to Langfuse with these keys, where the process does not do it yet; returns the sink in use."""
    if langfuse_sink() is None:
        try:
            with loading:
                _private.open_langfuse(keys)
        except ImportError as error:
            once.warn("otel-missing", f"Langfuse is configured but nothing can be sent: {error.name or error} is not "
                      "installed (pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http)")
    return _private.langfuse


def remote_parent(carrier: Mapping[str, str]) -> Any:
    """The context of a W3C `traceparent` (and `tracestate`), or None where there is none or no span would be made."""
    if not carrier.get("traceparent") or _tracer()[0] is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carrier))


def start(name: str, attributes: Callable[[], Mapping[str, Any]], parent: Any = None, *, calls_out: bool = False,
          to_langfuse: bool = True) -> OurSpan | None:
    """Begin a span under `parent` (else the current one) and make it current; None where no span is wanted.

    `attributes` is called only where a span is made; `calls_out` says that it waits for somebody else (kind CLIENT).
    Never raises: what goes wrong in a provider is logged once, and the work goes on without a span.
    """
    if _private.tracer is None and _private.decided and "opentelemetry.trace" not in sys.modules:
        return None
    try:
        tracer, to = _tracer()
        if tracer is None or _private.off:
            return None
        langfuse = _private.langfuse if to_langfuse else None
        given = fit_all(attributes())
        if langfuse is not None:
            from .sinks.langfuse import ambient_attributes

            given = {**ambient_attributes(given), **given}
        options = {"kind": _client_kind()} if calls_out else {}
        return OurSpan(tracer.start_span(name, context=parent, attributes=given, **options), to, langfuse)
    except Exception as error:  # a foreign provider, sampler or environment value must not stop the caller's work
        once.warn("span-start", f"spans cannot be made: {type(error).__name__}: {redact(str(error), 200)}")
        return None


def _client_kind() -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind.CLIENT


class OurSpan:
    """A span that is current from its start until `end`, and goes to our sinks then (none: its provider sends it)."""

    __slots__ = ("_langfuse", "_sink", "_span", "_token")

    def __init__(self, span: Any, sink: SpanSink | None, langfuse: LangfuseSink | None = None) -> None:
        self._span = span
        self._sink = sink
        self._langfuse = langfuse
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

    @property
    def to_langfuse(self) -> bool:
        """Whether Langfuse gets it."""
        return self._langfuse is not None

    @property
    def sampled(self) -> bool:
        """Whether it goes anywhere."""
        return bool(self._span.get_span_context().trace_flags.sampled)

    def ids(self) -> tuple[str, str]:
        """Trace id and span id, as they are written."""
        own = self._span.get_span_context()
        return f"{own.trace_id:032x}", f"{own.span_id:016x}"

    def as_parent(self) -> Any:
        """The context in which it is the current span."""
        from opentelemetry import trace

        return trace.set_span_in_context(self._span)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._guard(lambda: self._span.update_name(name))

    def score(self, name: str, passed: bool, comment: str | None) -> None:
        """Say in Langfuse, where it goes there, what was found of this span; as far as that can be had."""
        def tell() -> None:
            if self._langfuse is not None and self.sampled:
                self._langfuse.score(*self.ids(), name, passed, redact(comment) if comment else None)

        self._guard(tell)

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event."""
        self._guard(lambda: self._span.add_event(name, fit_all(attributes)))

    def end(self, attributes: Mapping[str, Any], error: BaseException | None = None, at: int | None = None) -> None:
        """Set the last attributes, record `error` (type; message and stack redacted), and hand the span over.

        `at` is the end in nanoseconds since the epoch, where it was before now.
        """
        def finish() -> None:
            self._span.set_attributes(fit_all(attributes))
            if error is not None:
                self._record(error)
            self._span.end(at)
            if self._span.get_span_context().trace_flags.sampled:
                if self._sink is not None:
                    self._sink.submit(self._span)
                if self._langfuse is not None:
                    self._langfuse.submit(self._span)

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
