"""Our own spans, for applications without a tracer provider: OpenTelemetry's span API and nothing more.

An SDK span would be half the cost of an observed call. The SDK still reads the environment: sampler, resource and
limits are those of a private `TracerProvider`. OpenTelemetry's current span may be one of these, and what other code
writes on it is redacted like our own attributes.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from ..sinks.otlp_encoding import (
    Event,
    Link,
    SpanRecord,
    encode_resource,
    encode_resource_spans,
    encode_scope,
    encode_scope_spans,
    encode_span,
)
from .values import error_attributes, fit_all

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

    from ..sinks.langfuse import LangfuseAttributes

# Not the module's shared generator: a program that seeds it would get the same ids in every run.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)
_CLIENT, _INTERNAL = SpanKind.CLIENT, SpanKind.INTERNAL
_RANDOM_ID = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
_NEW_TRACE = _RANDOM_ID | TraceFlags.SAMPLED


class RecordedSpan(trace.Span):
    """A sampled span, from its start until it is encoded and sent."""

    # Class attributes, because most spans never set them and one span is made for each call.
    ended: int | None = None
    code = StatusCode.UNSET
    message = ""
    _context: SpanContext | None = None
    _lost_attributes = _lost_events = _lost_links = 0
    _encoded: bytes | None = None
    _beside: LangfuseAttributes | None = None

    def __init__(
        self,
        tracer: OwnTracer,
        name: str,
        kind: int,
        trace_id: int,
        parent_id: int | None,
        parent_remote: bool,
        state: TraceState | None,
        flags: int,
        attributes: dict[str, Any],
    ) -> None:
        self.tracer = tracer
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = _random.getrandbits(64) or 1
        self.parent_id = parent_id
        self.parent_remote = parent_remote
        self.state = state
        self.flags = flags
        self.attributes: dict[str, Any] = attributes
        self.started = time.time_ns()
        self.events: list[Event] = []
        self.links: list[Link] = []
        if tracer.bounded or len(attributes) > tracer.attribute_count:
            self.attributes = {}
            self._put(attributes)

    def get_span_context(self) -> SpanContext:
        """The identity of the span, for children and headers."""
        context = self._context
        if context is None:
            context = self._context = SpanContext(
                self.trace_id, self.span_id, False, TraceFlags(self.flags), self.state
            )
        return context

    def is_recording(self) -> bool:
        """True until the span has ended."""
        return self.ended is None

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set redacted and bounded values; ignored after the end, like every later change."""
        if self.ended is None:
            self._put(fit_all(attributes))

    def set_attribute(self, key: str, value: Any) -> None:
        """See `set_attributes`."""
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event with redacted attributes; beyond the limit the oldest event is dropped."""
        if self.ended is None:
            kept, lost = self.tracer.bound(attributes, self.tracer.event_attributes)
            self.events.append(Event(name, timestamp or time.time_ns(), kept, lost))
            if len(self.events) > self.tracer.event_count:
                del self.events[0]
                self._lost_events += 1

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link; beyond the limit the oldest link is dropped."""
        if self.ended is None and context is not None and context.is_valid:
            kept, lost = self.tracer.bound(attributes, self.tracer.link_attributes)
            self.links.append(Link(context.trace_id, context.span_id, context.is_remote, kept, lost))
            if len(self.links) > self.tracer.link_count:
                del self.links[0]
                self._lost_links += 1

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if self.ended is None:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status as the SDK does: OK is final, UNSET is ignored."""
        if isinstance(status, StatusCode):
            status = Status(status, description)
        if self.ended is None and self.code is not StatusCode.OK and status.status_code is not StatusCode.UNSET:
            self.code, self.message = status.status_code, status.description or ""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an `exception` event with redacted message and stack."""
        self.add_event("exception", {**error_attributes(exception), **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span; only the first call counts."""
        if self.ended is None:
            self.ended = end_time or time.time_ns()

    def finish(self, attributes: Mapping[str, Any], at: int | None, beside: LangfuseAttributes | None) -> None:
        """End the span with attributes that fit; they are set even if other code has ended it before."""
        self._put(attributes)
        self._beside = beside
        self.end(at)

    def encoded(self) -> bytes:
        """The span as one field of ScopeSpans; encoded by the first sink that needs it, in that sink's thread."""
        found = self._encoded
        if found is None:
            own = self.attributes
            attributes = self._beside.attributes(own) if self._beside is not None else own
            found = self._encoded = encode_span(
                SpanRecord(
                    self.trace_id,
                    self.span_id,
                    self.state.to_header() if self.state else "",
                    self.parent_id,
                    self.parent_remote,
                    self.name,
                    self.kind,
                    self.started,
                    self.ended or time.time_ns(),
                    attributes,
                    self.events,
                    self.links,
                    self.code.value,
                    self.message,
                    (self._lost_attributes, self._lost_events, self._lost_links),
                )
            )
        return found

    def _put(self, attributes: Mapping[str, Any]) -> None:
        """Set values that fit, within the environment's limits; a new attribute displaces the oldest one."""
        mine, tracer = self.attributes, self.tracer
        if (
            not tracer.bounded
            and mine.keys().isdisjoint(attributes)
            and len(mine) + len(attributes) <= tracer.attribute_count
        ):
            mine.update(attributes)
            return
        for key, value in attributes.items():
            mine.pop(key, None)
            if tracer.attribute_count == 0:
                self._lost_attributes += 1
                continue
            if len(mine) >= tracer.attribute_count:
                mine.pop(next(iter(mine)))
                self._lost_attributes += 1
            mine[key] = _cut(value, tracer.attribute_length)


class OwnTracer:
    """Creates our spans with the settings of the SDK's `provider`; `start_span` is that of OpenTelemetry's tracers."""

    def __init__(self, provider: TracerProvider, scope: str, version: str) -> None:
        self._provider = provider
        self._sampler = provider.sampler
        self._inherits = type(self._sampler).should_sample is ParentBased.should_sample
        self._always = self._sampler is ALWAYS_ON
        # The SDK's default: without a parent every span is sampled, and asking the sampler costs 3 us.
        self._all_roots = self._always or (self._inherits and getattr(self._sampler, "_root", None) is ALWAYS_ON)
        self._scope = encode_scope(scope, version)
        self._resource: tuple[Any, bytes] = (None, b"")
        limits = SpanLimits()
        self.attribute_count = _limit(limits.max_span_attributes)
        self.attribute_length = limits.max_span_attribute_length
        self.bounded = self.attribute_length is not None
        self.event_count = _limit(limits.max_events)
        self.event_attributes = _limit(limits.max_event_attributes)
        self.link_count = _limit(limits.max_links)
        self.link_attributes = _limit(limits.max_link_attributes)
        self._length = limits.max_attribute_length

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, Any] | None = None,
    ) -> trace.Span:
        """A span below the current one of `context`; an unsampled span records nothing."""
        given = attributes or {}
        parent = trace.get_current_span(context)
        if type(parent) is RecordedSpan and (self._inherits or self._always):
            return RecordedSpan(
                self, name, _number(kind), parent.trace_id, parent.span_id, False, parent.state, parent.flags, given
            )
        if parent is trace.INVALID_SPAN and self._all_roots:
            trace_id = _random.getrandbits(128) or 1
            return RecordedSpan(self, name, _number(kind), trace_id, None, False, None, _NEW_TRACE, given)
        above = parent.get_span_context()
        if above is not None and above.is_valid:
            trace_id, parent_id, remote = above.trace_id, above.span_id, above.is_remote
            flags = above.trace_flags & _RANDOM_ID
        else:
            trace_id, parent_id, remote, flags = _random.getrandbits(128) or 1, None, False, _RANDOM_ID
        result = self._sampler.should_sample(context, trace_id, name, kind, given, ())
        if result.decision is Decision.RECORD_AND_SAMPLE:
            return RecordedSpan(
                self,
                name,
                _number(kind),
                trace_id,
                parent_id,
                remote,
                result.trace_state,
                flags | TraceFlags.SAMPLED,
                dict(result.attributes or {}),
            )
        return NonRecordingSpan(
            SpanContext(trace_id, _random.getrandbits(64) or 1, False, TraceFlags(flags), result.trace_state)
        )

    def bound(self, attributes: Mapping[str, Any] | None, most: float) -> tuple[dict[str, Any], int]:
        """Redacted attributes of an event or link, at most the newest `most`, and how many were dropped."""
        fitting = {key: _cut(value, self._length) for key, value in fit_all(attributes or {}).items()}
        lost = len(fitting) - most
        if lost <= 0:
            return fitting, 0
        return dict(list(fitting.items())[int(lost) :]), int(lost)

    def encode(self, spans: list[RecordedSpan]) -> bytes:
        """An ExportTraceServiceRequest with spans of this tracer."""
        resource = self._provider.resource
        known, header = self._resource
        if known is not resource:  # The SDK makes a new resource after a fork.
            header = encode_resource(resource.attributes)
            self._resource = (resource, header)
        scope = encode_scope_spans(self._scope, [span.encoded() for span in spans])
        return encode_resource_spans(header, [scope], resource.schema_url)


def _number(kind: SpanKind) -> int:
    """The kind as an OTLP number; the value of an enum is a slow property."""
    return 3 if kind is _CLIENT else 1 if kind is _INTERNAL else kind.value + 1


def _limit(given: int | None) -> float:
    return float("inf") if given is None else given


def _cut(value: Any, length: int | None) -> Any:
    if length is None:
        return value
    if isinstance(value, str):
        return value[:length]
    return [_cut(item, length) for item in value] if isinstance(value, list) else value
