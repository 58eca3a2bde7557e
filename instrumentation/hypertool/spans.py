"""How a span of ours begins, is the current one, and ends; who makes it is `span_providers`'.

Where no span is wanted none is made, and OpenTelemetry is not even imported.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .logs import once
from .redaction import MESSAGE_LIMIT, STACK_LIMIT, redact
from .span_providers import langfuse_sink as langfuse_sink
from .span_providers import open_langfuse as open_langfuse
from .span_providers import private, tracer_and_sink
from .span_providers import sink as sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sinks.base import SpanSink
    from .sinks.langfuse import LangfuseSink

_ATTRIBUTE_LIMIT = 4_000


def disabled() -> bool:
    """Whether `HYPERTOOL_DISABLED=1` makes everything a pass-through."""
    return os.environ.get("HYPERTOOL_DISABLED") == "1"


def remote_parent(carrier: Mapping[str, str]) -> Any:
    """The context of a W3C `traceparent` (and `tracestate`), or None where there is none or no span would be made."""
    if not carrier.get("traceparent") or tracer_and_sink()[0] is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carrier))


def start(name: str, attributes: Callable[[], Mapping[str, Any]], parent: Any = None, *, calls_out: bool = False,
          to_langfuse: bool = True, current: bool = True, fitted: bool = False) -> OurSpan | None:
    """Begin a span under `parent` (else the current one) and make it current; None where no span is wanted.

    `attributes` is called only where a span is made; `calls_out` says that it waits for somebody else (kind CLIENT),
    `fitted` that the values are bounded and carry nobody's words. Without `current` it becomes that by `activate`.
    Never raises: what goes wrong in a provider is logged once, and the work goes on without a span.
    """
    if private.tracer is None and private.decided and "opentelemetry.trace" not in sys.modules:
        return None
    try:
        tracer, to = tracer_and_sink()
        if tracer is None or private.off:
            return None
        langfuse = private.langfuse if to_langfuse else None
        given = dict(attributes()) if fitted else fit_all(attributes())
        if langfuse is not None:
            from .sinks.langfuse import ambient_attributes

            given = {**ambient_attributes(given), **given}
        options = {"kind": _client_kind()} if calls_out else {}
        return OurSpan(tracer.start_span(name, context=parent, attributes=given, **options), to, langfuse, current)
    except Exception as error:  # a foreign provider, sampler or environment value must not stop the caller's work
        once.warn("span-start", f"spans cannot be made: {type(error).__name__}: {redact(str(error), 200)}")
        return None


def _client_kind() -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind.CLIENT


class OurSpan:
    """A span that is current from its start until `end`, and goes to our sinks then (none: its provider sends it)."""

    __slots__ = ("_langfuse", "_sink", "_span", "_token")

    def __init__(self, span: Any, sink: SpanSink | None, langfuse: LangfuseSink | None = None,
                 current: bool = True) -> None:
        self._span = span
        self._sink = sink
        self._langfuse = langfuse
        self._token: Any = None
        if current:
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

    def end(self, attributes: Mapping[str, Any], error: BaseException | None = None, at: int | None = None,
            fitted: bool = False) -> None:
        """Set the last attributes, record `error` (type; message and stack redacted), and hand the span over.

        `at` is the end in nanoseconds since the epoch, where it was before now.
        """
        def finish() -> None:
            self._span.set_attributes(attributes if fitted else fit_all(attributes))
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
