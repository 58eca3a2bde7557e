"""Spans and OTLP bytes of our own: what OpenTelemetry's SDK and exporter would have made of the same."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from hypertool.sinks.otlp_encoding import ForeignSpan, encode
from hypertool.spans.recorded import OwnTracer, RecordedSpan
from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
RESOURCE = Resource({"service.name": "agents", "n": 1, "list": ("a", "b")}, "https://example.org/schema")

text = st.text(max_size=300)
integers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 127, 128, 2**63 - 1, -(2**63)]))
primitives = st.one_of(text, st.booleans(), integers, st.floats(), st.binary(max_size=50), st.none())
values = st.recursive(
    primitives,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(min_size=1, max_size=9), inner, max_size=4)
    ),
    max_leaves=9,
)
keys = st.text(min_size=1, max_size=40)
attributes = st.dictionaries(keys, values, max_size=12)
ids = st.integers(1, 2**64 - 1)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    ids,
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)


class Drawn(IdGenerator):
    """Ids that are the test's to choose."""

    def __init__(self, trace_id: int, span_id: int) -> None:
        self.ids = trace_id, span_id

    def generate_trace_id(self) -> int:
        return self.ids[0]

    def generate_span_id(self) -> int:
        return self.ids[1]


@st.composite
def foreign(draw: st.DrawFn) -> ReadableSpan:
    """A span as an application's SDK provider makes it."""
    parent = draw(st.none() | contexts)
    chosen = Drawn(draw(st.integers(1, 2**128 - 1)), draw(ids))
    tracer = TracerProvider(resource=RESOURCE, shutdown_on_exit=False, id_generator=chosen).get_tracer(
        draw(text), draw(st.none() | text), draw(st.none() | text), draw(st.none() | st.just({"scope": 1}))
    )
    span = tracer.start_span(
        draw(text),
        trace.set_span_in_context(NonRecordingSpan(parent))
        if parent and parent.trace_flags.sampled
        else context.Context(),
        draw(st.sampled_from(SpanKind)),
        draw(attributes),
        [trace.Link(draw(contexts), draw(attributes)) for _ in range(draw(st.integers(0, 2)))],
        draw(st.none() | st.integers(1, 2**63)),
    )
    for _ in range(draw(st.integers(0, 3))):
        span.add_event(draw(text), draw(attributes), draw(st.none() | st.integers(1, 2**63)))
    code = draw(st.sampled_from(StatusCode))
    span.set_status(Status(code, draw(text) if code is StatusCode.ERROR else None))
    span.end(draw(st.none() | st.integers(1, 2**63)))
    assert isinstance(span, ReadableSpan)
    return span


@PATIENT
@given(st.lists(foreign(), min_size=1, max_size=3))
def test_bytes_are_those_of_opentelemetrys_exporter(spans: list[ReadableSpan]) -> None:
    assert encode([ForeignSpan(span) for span in spans]) == encode_spans(spans).SerializePartialToString()


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (2**63, hex(2**63)),
        (-(2**63) - 1, hex(-(2**63) - 1)),
        (10**5000, hex(10**5000)),
        ("a\ud800b", "a?b"),
    ],
    ids=["above", "below", "huge", "surrogate"],
)
def test_unencodable_value_becomes_text(value: Any, sent: str) -> None:
    """A value that protobuf refuses is sent as text, and the others stay intact."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s", attributes={"odd": value, "good": 1})
    span.end()
    (found,) = _spans(encode([ForeignSpan(span)]))
    kept = {pair.key: pair.value for pair in found.attributes}
    assert kept["odd"].string_value == sent
    assert kept["good"].int_value == 1


def _spans(body: bytes) -> list[Any]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("attributes"), st.dictionaries(keys, st.text(max_size=9) | st.booleans() | integers, max_size=5)
        ),
        st.tuples(st.just("event"), text),
        st.tuples(st.just("link"), contexts),
        st.tuples(st.just("name"), text),
        st.tuples(st.just("status"), st.sampled_from(StatusCode)),
        st.tuples(st.just("end"), st.integers(1, 2**63)),
    ),
    max_size=9,
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": st.integers(0, 4),
        "OTEL_ATTRIBUTE_COUNT_LIMIT": st.integers(0, 4),
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": st.integers(0, 4),
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": st.integers(0, 4),
        "OTEL_SPAN_EVENT_COUNT_LIMIT": st.integers(0, 1),
        "OTEL_SPAN_LINK_COUNT_LIMIT": st.integers(0, 1),
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": st.integers(0, 1),
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": st.integers(0, 1),
    },
)


@PATIENT
@given(st.none() | contexts, OPERATIONS, LIMITS)
def test_our_span_says_what_the_sdks_would(
    parent: SpanContext | None, operations: list[tuple[str, Any]], limits: dict[str, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setenv(name, str(value))
        provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
        makers = OwnTracer(provider, "ours", "1"), provider.get_tracer("ours", "1")
    above = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else context.Context()
    ours, theirs = (maker.start_span("first", above, SpanKind.CLIENT, {"a": 1}) for maker in makers)
    if parent is not None and not parent.trace_flags.sampled:
        assert [span.is_recording() for span in (ours, theirs)] == [False, False]
        assert ours.get_span_context().trace_flags == theirs.get_span_context().trace_flags
        return
    for span in (ours, theirs):
        assert span.is_recording()
        for what, given_value in operations:
            _do(span, what, given_value)
        span.end(5)
    assert isinstance(theirs, ReadableSpan)
    (one,), (other,) = _spans(encode([ours])), _spans(encode_spans([theirs]).SerializePartialToString())
    assert one.span_id != other.span_id
    assert (one.trace_id == other.trace_id) == (parent is not None)
    for span in (one, other):
        for field in ("span_id", "trace_id", "start_time_unix_nano"):
            span.ClearField(field)
        for event in span.events:
            event.ClearField("time_unix_nano")
    assert one == other


def _do(span: trace.Span, what: str, value: Any) -> None:
    if what == "attributes":
        span.set_attributes(value)
    elif what == "event":
        span.add_event(value, {"a": "long text", "b": 2})
    elif what == "link":
        span.add_link(value, {"a": "long text", "b": 2})
    elif what == "name":
        span.update_name(value)
    elif what == "status":
        span.set_status(value, "why" if value is StatusCode.ERROR else None)
    else:
        span.end(value)


def test_child_has_the_right_parent() -> None:
    """A child of our span, or of a foreign one, has the right parent."""
    provider = TracerProvider(shutdown_on_exit=False)
    ours = OwnTracer(provider, "ours", "1").start_span("parent", context.Context())
    assert isinstance(ours, RecordedSpan)
    inside = trace.set_span_in_context(ours)
    assert trace.get_current_span(inside) is ours
    foreign_child = provider.get_tracer("theirs").start_span("child", inside)
    own_child = OwnTracer(provider, "ours", "1").start_span("child", inside)
    assert isinstance(foreign_child, ReadableSpan)
    assert foreign_child.parent is not None
    (sent,) = _spans(encode([own_child]))
    for trace_id, parent_id in (
        (foreign_child.parent.trace_id, foreign_child.parent.span_id),
        (int.from_bytes(sent.trace_id, "big"), int.from_bytes(sent.parent_span_id, "big")),
    ):
        assert (trace_id, parent_id) == (ours.trace_id, ours.span_id)


def test_ids_ignore_seeded_random_numbers() -> None:
    """Ids differ even if the program seeds its random numbers."""
    import random

    tracer = OwnTracer(TracerProvider(shutdown_on_exit=False), "ours", "1")
    found = set()
    for _ in range(2):
        random.seed(42)
        found.add(tracer.start_span("s", context.Context()).get_span_context().trace_id)
    assert len(found) == 2


@pytest.fixture
def host(tmp_path: Path, receiver: OtlpReceiver) -> Host:
    host = Host(tmp_path)
    host.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    return host


def run(host: Host, code: str, **more: str) -> str:
    done = host.python(
        "import os\nfrom hypertool import WorkflowTracer\nfrom hypertool.spans import span as spans\n"
        + textwrap.dedent(code)
        + "\nassert spans.sink().flush(20)\n",
        **more,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_current_span_is_writable_and_redacted(host: Host, receiver: OtlpReceiver) -> None:
    """User code may write on the current span, and secrets in what it writes are redacted."""
    run(
        host,
        """
        from opentelemetry import trace
        with WorkflowTracer("w"):
            span = trace.get_current_span()
            assert span.is_recording() and span.get_span_context().is_valid
            span.set_attribute("theirs", "Bearer abcdefghijklmnop1234")
            span.add_event("seen", {"at": 1})
            span.record_exception(ValueError("password=hunter2222"))
        assert not span.is_recording()
        span.set_attribute("late", 1)
    """,
    )
    (span,) = receiver.wait(1)
    assert "abcdefghijklmnop1234" not in span.attributes["theirs"]
    assert "late" not in span.attributes
    assert [name for name, _ in span.events] == ["seen", "exception"]
    assert "hunter2222" not in str(span)


def test_forked_child_makes_its_own_ids(host: Host, receiver: OtlpReceiver) -> None:
    """Spans of a forked child have other ids than those of its parent."""
    run(
        host,
        """
        import warnings
        # From 3.12 on, Python warns of every fork in a process that has threads.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with WorkflowTracer("parent"): pass
        child = os.fork()
        for _ in range(5):
            with WorkflowTracer("after"): pass
        assert spans.sink().flush(20)
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """,
    )
    found = receiver.wait(11)
    assert len({span.trace_id for span in found}) == len({span.span_id for span in found}) == 11


@pytest.mark.parametrize(
    ("sampler", "argument", "sent"),
    [
        ("always_on", "", 3),
        ("always_off", "", 0),
        ("traceidratio", "1", 3),
        ("traceidratio", "0", 0),
        ("parentbased_always_on", "", 2),
        ("parentbased_always_off", "", 1),
        ("parentbased_traceidratio", "0", 1),
    ],
)
def test_the_sampler_of_the_environment_decides(
    host: Host, receiver: OtlpReceiver, sampler: str, argument: str, sent: int
) -> None:
    """A root, a child of a sampled remote parent, and one of a parent that is not sampled."""
    run(
        host,
        """
        for flags in (None, "01", "00"):
            carrier = {} if flags is None else {"traceparent": f"00-{'a' * 32}-{'b' * 16}-{flags}"}
            spans.start("s", dict, spans.remote_parent(carrier)).end({})
    """,
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )
    assert len(receiver.spans) == sent
