"""The life of one span: start, being current, end. `providers` chooses who creates it.

Without a configured sink or an application's provider there are no spans, and OpenTelemetry is not imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..recording.cells import Exemplar
from ..runtime.logs import once
from ..runtime.redaction import redact, redact_name
from .providers import api, private, tracer_and_sink
from .providers import langfuse_sink as langfuse_sink
from .providers import open_langfuse as open_langfuse
from .providers import sink as sink
from .sdk_attributes import set_fitted
from .values import error_attributes, fit_all

if TYPE_CHECKING:
    from ..sinks.base import SpanSink
    from ..sinks.langfuse import LangfuseAttributes, LangfuseSink

REASON_CHARACTERS = 200


def remote_parent(carrier: Mapping[str, str]) -> Any:
    """The context of a W3C `traceparent` (and `tracestate`), or None without one or without tracing."""
    if not carrier.get("traceparent") or tracer_and_sink()[0] is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carrier))


def untraced() -> bool:
    """Whether `start` certainly makes no span, so that its arguments need not be made."""
    return private.tracer is None and private.decided and "opentelemetry.trace" not in sys.modules


def start(
    name: str,
    attributes: Callable[..., Mapping[str, Any]],
    parent: Any = None,
    *,
    calls_out: bool = False,
    to_langfuse: bool = True,
    current: bool = True,
    fitted: bool = False,
    of: tuple[Any, ...] = (),
) -> OurSpan | None:
    """Start a span below `parent` (default: the current span) and make it current; None without tracing.

    `attributes` is called with `of`, and only if a span is made. `calls_out` marks a call to another service (kind
    CLIENT). `fitted` says that the values are bounded and need no redaction. With `current=False` the span becomes
    current by `activate`. Never raises: an error of a provider is logged once, and the work goes on without a span.
    """
    if untraced():
        return None
    try:
        tracer, to = tracer_and_sink()
        if tracer is None or private.off:
            return None
        langfuse = private.langfuse if to_langfuse else None
        given = attributes(*of) if fitted else fit_all(attributes(*of))
        beside = private.beside(given) if langfuse is not None else None
        place = None
        if parent is None:  # Looked up once; provider, sampler and `activate` would each do it.
            place = parent = api.context.get_current()
        made = tracer.start_span(redact_name(name), parent, api.kinds[calls_out], given)
        return OurSpan(made, to, langfuse, beside, place, current)
    except Exception as error:  # An error of a provider or sampler must not stop the caller's work.
        once.warn("span-start", f"spans cannot be started: {type(error).__name__}: {redact(str(error), 200)}")
        return None


class OurSpan:
    """A span that is current until `end`, which hands it to our sinks (without a sink, its provider sends it)."""

    __slots__ = (
        "_attached",
        "_beside",
        "_identity",
        "_langfuse",
        "_own",
        "_place",
        "_sink",
        "_span",
        "_token",
        "sampled",
    )

    def __init__(
        self,
        span: Any,
        sink: SpanSink | None,
        langfuse: LangfuseSink | None,
        beside: LangfuseAttributes | None,
        place: Any,
        current: bool,
    ) -> None:
        self._span = span
        self._place = place
        own = self._own = type(span) is private.kind
        # Looked up once: ids and sampling; spans of our own kind are always sampled.
        identity = self._identity = span if own else span.get_span_context()
        self.sampled = own or identity.trace_flags & 1 == 1
        self._sink = sink
        self._langfuse = langfuse
        self._beside = beside
        self._attached: Any = None
        self._token: Any = None
        if current:
            self.activate()

    def activate(self) -> None:
        """Make it the current span: the first time in the context of its start, later in the current context."""
        place, self._place = self._place, None
        self._attached = api.trace.set_span_in_context(self._span, place)
        self._token = api.context.attach(self._attached)

    def suspend(self, here: bool = False) -> None:
        """Make the previous span current again; `here` says that this is certainly the context of `activate`."""
        token, self._token = self._token, None
        # In another context (a generator fixture ended by another task) there is nothing to undo.
        if token is not None and (
            here or api.context.get_current() is self._attached or api.trace.get_current_span() is self._span
        ):
            api.context.detach(token)

    def traceparent(self) -> dict[str, str]:
        """The W3C headers of the span, for propagation."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, api.trace.set_span_in_context(self._span))
        return carrier

    def ids(self) -> tuple[str, str]:
        """Trace id and span id in hexadecimal."""
        own = self._identity
        return f"{own.trace_id:032x}", f"{own.span_id:016x}"

    def exemplar(self, seconds: float) -> Exemplar | None:
        """This span as an exemplar of a duration, or None if unsampled."""
        if not self.sampled:
            return None
        own = self._identity
        # Half the cost of Exemplar(...); one is made for each call, and most are soon replaced.
        return tuple.__new__(Exemplar, (own.trace_id, own.span_id, seconds, time.time()))

    def as_parent(self) -> Any:
        """A context in which this is the current span."""
        return api.trace.set_span_in_context(self._span)

    def rename(self, name: str) -> None:
        """Rename the span."""
        self._guard(lambda: self._span.update_name(redact_name(name)))

    def score(self, name: str, passed: bool, comment: str | None) -> None:
        """Attach a score to the span in Langfuse, if it is sent there."""

        def tell() -> None:
            if self._langfuse is not None and self.sampled:
                self._langfuse.score(*self.ids(), name, passed, redact(comment) if comment else None)

        self._guard(tell)

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event."""
        self._guard(lambda: self._span.add_event(name, fit_all(attributes)))

    def fail(self, reason: str) -> None:
        """Set the status ERROR with the redacted reason, for a failure that is no exception."""
        self._guard(lambda: self._span.set_status(api.trace.StatusCode.ERROR, redact(reason, REASON_CHARACTERS)))

    def end(
        self,
        attributes: Mapping[str, Any],
        error: BaseException | None = None,
        at: int | None = None,
        fitted: bool = False,
        langfuse: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Set the last attributes, record `error` (type; message and stack redacted), and hand the span to the sinks.

        `at` is the end in nanoseconds since the epoch, if it was before now. `langfuse` returns further attributes for
        Langfuse; it is called in that sink's thread, and its values must fit.
        """
        if self._token is not None:
            self._guard(self.suspend)
        span, beside = self._span, self._beside
        if beside is not None:
            beside.last = langfuse
        try:
            if error is not None:
                self._record(error)
            last = attributes if fitted else fit_all(attributes)
            if self._own:
                span.finish(last, at, beside)
            else:
                if fitted:
                    set_fitted(span, last)
                else:
                    span.set_attributes(last)
                span.end(at)
                if not self.sampled:
                    return
                if beside is not None:
                    beside.span = span
            if self._sink is not None:
                self._sink.submit(span)
            if beside is not None and self._langfuse is not None:
                self._langfuse.submit(span if self._own else beside)
        except Exception as broken:
            _say(broken)

    def _record(self, error: BaseException) -> None:
        found = error_attributes(error)
        kind, message = found["exception.type"], found["exception.message"]
        self._span.add_event("exception", found)
        self._span.set_attribute("error.type", kind)
        self._span.set_status(api.trace.StatusCode.ERROR, f"{kind}: {message}" if message else kind)

    @staticmethod
    def _guard(step: Any) -> None:
        try:
            step()
        except Exception as error:
            _say(error)


def _say(error: Exception) -> None:
    """Log an error of a foreign span implementation, once; it must not stop the caller's work."""
    once.warn("span-end", f"a span could not be written: {type(error).__name__}: {redact(str(error), 200)}")
