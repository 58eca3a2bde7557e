"""How a span of ours begins, is the current one, and ends; who makes it is `span_providers`'.

Where no span is wanted none is made, and OpenTelemetry is not even imported.
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
from .values import error_attributes, fit_all

if TYPE_CHECKING:
    from ..sinks.base import SpanSink
    from ..sinks.langfuse import Beside, LangfuseSink


def remote_parent(carrier: Mapping[str, str]) -> Any:
    """The context of a W3C `traceparent` (and `tracestate`), or None where there is none or no span would be made."""
    if not carrier.get("traceparent") or tracer_and_sink()[0] is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(carrier))


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
    """Begin a span under `parent` (else the current one) and make it current; None where no span is wanted.

    `attributes` is called, with `of`, only where a span is made; `calls_out` says that it waits for somebody else
    (kind CLIENT), `fitted` that the values are bounded and carry nobody's words. Without `current` it becomes that by
    `activate`.
    Never raises: what goes wrong in a provider is logged once, and the work goes on without a span.
    """
    if private.tracer is None and private.decided and "opentelemetry.trace" not in sys.modules:
        return None
    try:
        tracer, to = tracer_and_sink()
        if tracer is None or private.off:
            return None
        langfuse = private.langfuse if to_langfuse else None
        given = attributes(*of) if fitted else fit_all(attributes(*of))
        beside = private.beside(given) if langfuse is not None else None
        place = None
        if parent is None:  # provider, sampler and `activate` would each look it up
            place = parent = api.context.get_current()
        made = tracer.start_span(redact_name(name), parent, api.kinds[calls_out], given)
        return OurSpan(made, to, langfuse, beside, place, current)
    except Exception as error:  # a foreign provider, sampler or environment value must not stop the caller's work
        once.warn("span-start", f"spans cannot be made: {type(error).__name__}: {redact(str(error), 200)}")
        return None


class OurSpan:
    """A span that is current from its start until `end`, and goes to our sinks then (none: its provider sends it)."""

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
        beside: Beside | None,
        place: Any,
        current: bool,
    ) -> None:
        self._span = span
        self._place = place
        own = self._own = type(span) is private.kind
        # Asked for once: what has its trace id and span id, and whether it goes anywhere (ours of that kind do).
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
        """Make it the current span: the first time right where it began, later wherever that is."""
        place, self._place = self._place, None
        self._attached = api.trace.set_span_in_context(self._span, place)
        self._token = api.context.attach(self._attached)

    def suspend(self, here: bool = False) -> None:
        """Make the span before it the current one again; `here` says that this is surely where it was activated."""
        token, self._token = self._token, None
        # Elsewhere (a generator fixture that is ended by another task) there is nothing to take back.
        if token is not None and (
            here or api.context.get_current() is self._attached or api.trace.get_current_span() is self._span
        ):
            api.context.detach(token)

    def traceparent(self) -> dict[str, str]:
        """Its W3C headers, to be passed on."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, api.trace.set_span_in_context(self._span))
        return carrier

    def ids(self) -> tuple[str, str]:
        """Trace id and span id, as they are written."""
        own = self._identity
        return f"{own.trace_id:032x}", f"{own.span_id:016x}"

    def exemplar(self, seconds: float) -> Exemplar | None:
        """It as the example of a duration; None where it goes nowhere."""
        if not self.sampled:
            return None
        own = self._identity
        # Half the price of Exemplar(...): one is made for each call, and most are replaced before anybody sees them.
        return tuple.__new__(Exemplar, (own.trace_id, own.span_id, seconds, time.time()))

    def as_parent(self) -> Any:
        """The context in which it is the current span."""
        return api.trace.set_span_in_context(self._span)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._guard(lambda: self._span.update_name(redact_name(name)))

    def score(self, name: str, passed: bool, comment: str | None) -> None:
        """Say in Langfuse, where it goes there, what was found of this span; as far as that can be had."""

        def tell() -> None:
            if self._langfuse is not None and self.sampled:
                self._langfuse.score(*self.ids(), name, passed, redact(comment) if comment else None)

        self._guard(tell)

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event."""
        self._guard(lambda: self._span.add_event(name, fit_all(attributes)))

    def end(
        self,
        attributes: Mapping[str, Any],
        error: BaseException | None = None,
        at: int | None = None,
        fitted: bool = False,
        langfuse: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Set the last attributes, record `error` (type; message and stack redacted), and hand the span over.

        `at` is the end in nanoseconds since the epoch, where it was before now. `langfuse` makes what Langfuse gets
        more than that, in its sink's thread: values that fit.
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
    """A foreign span implementation must not stop the caller's work."""
    once.warn("span-end", f"a span could not be written: {type(error).__name__}: {redact(str(error), 200)}")
