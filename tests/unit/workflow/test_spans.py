"""Spans of a run, as a real OTLP request carries them; and who makes them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver

ERROR = 2


@pytest.fixture
def host(tmp_path: Path, receiver: OtlpReceiver) -> Host:
    host = Host(tmp_path)
    host.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    return host


HEAD = """
import asyncio, sys
from hypertool import WorkflowExecutor, WorkflowTracer
"""

# On a busy machine the bounded exit could drop spans; test_otlp_delivery tests that.
FLUSH = """
from hypertool.spans import span as spans
assert spans.sink() is None or spans.sink().flush(20)
"""


def run(host: Host, code: str, **more: str) -> str:
    done = host.python(HEAD + textwrap.dedent(code) + FLUSH, **more)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_run_is_the_parent_of_its_stages(host: Host, receiver: OtlpReceiver) -> None:
    """A run is a span with one child span per stage."""
    (host.work / ".git").mkdir()
    out = run(
        host,
        """
        with WorkflowTracer("package_release", {"ticket": "T-1", "name": "mine", "big": 2**70}) as w:
            with w.stage_context("version_bump", "backend", {"files": 3}) as stage:
                stage.set_quality_gate(False, "too slow")
        print(w.run_id)
    """,
    )
    receiver.wait(2)
    workflow = receiver.by_name("workflow.package_release")
    stage = receiver.by_name("stage.version_bump")
    assert workflow.parent_id == ""
    assert (stage.parent_id, stage.trace_id) == (workflow.span_id, workflow.trace_id)
    duration = workflow.attributes.pop("workflow.duration_seconds")
    assert 0 < duration < 10
    assert workflow.attributes == {
        "workflow.name": "package_release",
        "workflow.ticket": "T-1",
        "workflow.big": str(2**70),
        "hypertool.workspace": "work",
        "hypertool.run_id": out.strip(),
    }
    assert stage.attributes.pop("stage.duration_seconds") > 0
    assert stage.attributes == {
        "stage.name": "version_bump",
        "stage.persona": "backend-engineer",
        "stage.chatmode": "package-release",
        "stage.files": 3,
        "stage.quality_gate_passed": False,
        "stage.quality_gate_reason": "too slow",
        "workflow.name": "package_release",
    }
    assert stage.events == [("quality_gate", {"passed": False, "reason": "too slow"})]
    assert (stage.status, stage.status_message, workflow.status) == (ERROR, "quality gate failed: too slow", 0)
    assert workflow.resource["service.name"] == "hypertool"
    assert workflow.scope == "hypertool"


NESTED = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from hypertool.spans import span as spans
def inside(name):
    # A span of ours that is opened where an LLM call would open one.
    spans.start(name, dict).end({})
"""


@pytest.mark.predecessor("D14")
def test_inner_span_is_a_child_of_its_stage(host: Host, receiver: OtlpReceiver) -> None:
    """A span opened in a stage is its child, also across gather, threads and generators."""
    run(
        host,
        NESTED
        + textwrap.dedent("""
        def lazily():
            inside("generator-1"); yield 1
            inside("generator-2"); yield 2
        async def lazily_async():
            inside("agen-1"); yield 1
            await asyncio.sleep(0)
            inside("agen-2"); yield 2
        async def call(name):
            await asyncio.sleep(0.01)
            inside(name)
        async def main():
            async with WorkflowTracer("w") as w:
                async with w.stage_context("one", "backend"):
                    inside("direct")
                    await asyncio.gather(*(call(f"gather-{i}") for i in range(3)))
                    await asyncio.to_thread(inside, "to_thread")
                    with WorkflowExecutor(2) as pool:
                        list(pool.map(inside, ["pool-0", "pool-1"]))
                async for _ in await w.trace_stage("async-generator", "backend", lazily_async):
                    inside("between-async")
                await asyncio.gather(w.trace_stage("left", "backend", call, "in-left"),
                                     w.trace_stage("right", "testing", call, "in-right"))
        asyncio.run(main())
        with WorkflowTracer("v") as w:
            for _ in w.trace_stage("generator", "backend", lazily):
                inside("between")
    """),
    )
    receiver.wait(22)
    ids = {span.span_id: span.name for span in receiver.spans}
    parents = {span.name: ids.get(span.parent_id) for span in receiver.spans}
    for name in ("direct", "gather-0", "gather-1", "gather-2", "to_thread", "pool-0", "pool-1"):
        assert parents[name] == "stage.one", name
    by_stage = {
        name: [span.name for span in receiver.spans if parents[span.name] == name]
        for name in ("stage.generator", "stage.async-generator", "stage.left", "stage.right")
    }
    assert by_stage == {
        "stage.generator": ["generator-1", "generator-2"],
        "stage.async-generator": ["agen-1", "agen-2"],
        "stage.left": ["in-left"],
        "stage.right": ["in-right"],
    }
    between = [span for span in receiver.spans if span.name.startswith("between")]
    assert {ids[span.parent_id] for span in between} == {"workflow.v", "workflow.w"}


def test_error_span_holds_no_secret(host: Host, receiver: OtlpReceiver) -> None:
    """An error sets status ERROR with its exception, without secrets."""
    run(
        host,
        """
        try:
            with WorkflowTracer("w") as w:
                with w.stage_context("s", "backend"):
                    raise ConnectionError("POST https://bot:hunter22@api.example/v1 password=tops3cret "
                                          "Authorization: Bearer abcdefghijkl sk-live-1234567890 " + "x" * 5000)
        except ConnectionError:
            pass
    """,
    )
    receiver.wait(2)
    for name in ("stage.s", "workflow.w"):
        span = receiver.by_name(name)
        assert span.status == ERROR
        (event,) = [attributes for kind, attributes in span.events if kind == "exception"]
        assert event["exception.type"] == "ConnectionError"
        assert "POST https://" in event["exception.message"]
        assert len(event["exception.message"]) <= 1000
        assert "raise ConnectionError" in event["exception.stacktrace"]
        sent = str(span)
        for secret in ("hunter22", "abcdefghijkl", "sk-live-1234567890", "tops3cret"):
            assert secret not in sent, secret


@pytest.mark.predecessor("D12")
def test_a_cancelled_stage_is_an_error(host: Host, receiver: OtlpReceiver) -> None:
    run(
        host,
        """
        async def main():
            async with WorkflowTracer("w") as w:
                begun = asyncio.Event()
                async def work():
                    begun.set()
                    await asyncio.sleep(60)
                task = asyncio.ensure_future(w.trace_stage("s", "backend", work))
                await begun.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        asyncio.run(main())
    """,
    )
    receiver.wait(2)
    stage = receiver.by_name("stage.s")
    assert (stage.status, stage.attributes["stage.quality_gate_passed"]) == (ERROR, False)
    assert stage.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert receiver.by_name("workflow.w").status != ERROR


def test_a_broken_text_of_an_exception_harms_nothing(host: Host, receiver: OtlpReceiver) -> None:
    run(
        host,
        """
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        try:
            with WorkflowTracer("w"):
                raise Odd
        except Odd:
            print("untouched")
    """,
    )
    receiver.wait(1)
    assert receiver.by_name("workflow.w").status == ERROR


APPLICATION = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
"""


def test_application_provider_makes_our_spans(host: Host, receiver: OtlpReceiver) -> None:
    """The application's provider makes our spans, and our own sink stays off."""
    out = run(
        host,
        APPLICATION
        + textwrap.dedent("""
        trace.set_tracer_provider(provider)
        with trace.get_tracer("app").start_as_current_span("request"):
            with WorkflowTracer("w") as w:
                w.trace_stage("s", "backend", lambda: 1)
        spans = {span.name: span for span in kept.get_finished_spans()}
        print(sorted(spans), spans["workflow.w"].parent.span_id == spans["request"].context.span_id)
    """),
    )
    assert out == "['request', 'stage.s', 'workflow.w'] True\n"
    assert receiver.requests == []
    assert host.counters("exp") == {}


def test_late_provider_takes_over(host: Host, receiver: OtlpReceiver) -> None:
    """A provider that is set later takes over, and no span goes out twice."""
    out = run(
        host,
        APPLICATION
        + textwrap.dedent("""
        with WorkflowTracer("before"): pass
        trace.set_tracer_provider(provider)
        with WorkflowTracer("after"): pass
        print([span.name for span in kept.get_finished_spans()])
    """),
    )
    assert out == "['workflow.after']\n"
    assert [span.name for span in receiver.wait(1)] == ["workflow.before"]


def test_our_provider_never_becomes_the_global_one(host: Host, receiver: OtlpReceiver) -> None:
    out = run(
        host,
        """
        with WorkflowTracer("w"): pass
        from opentelemetry import trace
        print(type(trace.get_tracer_provider()).__name__)
        trace.get_tracer("app").start_span("foreign").end()
    """,
    )
    assert out == "ProxyTracerProvider\n"
    assert [span.name for span in receiver.wait(1)] == ["workflow.w"]


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_SDK_DISABLED": "true"},
        {"HYPERTOOL_DISABLED": "1"},
    ],
)
def test_no_sink_no_opentelemetry_import(host: Host, receiver: OtlpReceiver, variables: dict[str, str]) -> None:
    """Without a sink, OpenTelemetry is not imported."""
    out = run(
        host,
        """
        with WorkflowTracer("w") as w:
            w.trace_stage("s", "backend", lambda: 1)
        print([name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client"))])
    """,
        **variables,
    )
    assert out == "[]\n"
    assert receiver.requests == []


def test_the_exporter_variable_alone_turns_the_sink_on(host: Host) -> None:
    out = run(
        host,
        """
        from hypertool.spans import span as spans
        with WorkflowTracer("w"): pass
        print(spans.sink() is not None)
        sys.stdout.flush()
        import os; os._exit(0)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT="",
        OTEL_TRACES_EXPORTER="otlp",
    )
    assert out == "True\n"


def test_missing_opentelemetry_warns_once(host: Host) -> None:
    """Without OpenTelemetry, the run is recorded with one warning."""
    done = host.python(
        HEAD
        + textwrap.dedent("""
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "opentelemetry":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Absent())
        for _ in range(3):
            with WorkflowTracer("w") as w:
                w.trace_stage("s", "backend", lambda: 1)
    """)
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "opentelemetry" in done.stderr
    assert "pip install" in done.stderr
    assert host.counters("qg") == {("w", "s", "pass"): 3}


def test_standard_variables_are_honoured(host: Host, receiver: OtlpReceiver) -> None:
    run(
        host,
        """
        with WorkflowTracer("w"): pass
    """,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.url}/own/path",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=blue,authorization=Basic%20abc",
        OTEL_SERVICE_NAME="agents",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    (span,) = receiver.wait(1)
    path, headers = receiver.requests[0]
    assert path == "/own/path"
    assert (headers["content-encoding"], headers["x-tenant"], headers["authorization"]) == ("gzip", "blue", "Basic abc")
    assert headers["content-type"] == "application/x-protobuf"
    assert span.resource["service.name"] == "agents"
    assert span.resource["deployment.environment.name"] == "test"


def test_dropping_sampler_counts_nothing(host: Host, receiver: OtlpReceiver) -> None:
    """With a sampler that drops everything, nothing is sent or counted."""
    run(
        host,
        """
        with WorkflowTracer("w") as w:
            w.trace_stage("s", "backend", lambda: 1)
    """,
        OTEL_TRACES_SAMPLER="always_off",
    )
    assert receiver.requests == []
    assert host.counters("exp") == {}
    assert host.counters("qg") == {("w", "s", "pass"): 1}


def test_a_provider_that_fails_does_not_reach_the_work(host: Host) -> None:
    done = host.python(
        HEAD
        + textwrap.dedent("""
        from opentelemetry import trace
        class Broken(trace.TracerProvider):
            def get_tracer(self, *args, **kwargs): raise RuntimeError("out of order")
        trace.set_tracer_provider(Broken())
        with WorkflowTracer("w") as w:
            print(w.trace_stage("s", "backend", lambda: 5))
    """)
    )
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_leaving_in_another_context_is_quiet(host: Host, receiver: OtlpReceiver) -> None:
    run(
        host,
        """
        import contextvars
        w = WorkflowTracer("w")
        contextvars.copy_context().run(w.__enter__)
        contextvars.copy_context().run(w.__exit__, None, None, None)
    """,
    )
    assert [span.name for span in receiver.wait(1)] == ["workflow.w"]
