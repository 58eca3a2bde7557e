"""Spans of LLM calls, as real OTLP requests carry them, to a collector and to Langfuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypertool.domain.personas import load_catalogue
from hypertool.metrics.exposition import families
from hypertool.sinks.langfuse import Keys, LangfuseSink
from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.sinks import FLUSH, HEAD, run

ERROR = 2


@pytest.mark.predecessor("D14", "D20")
def test_call_is_a_chat_span_inside_its_stage(host: Host, receiver: OtlpReceiver) -> None:
    """A call is a chat span inside its stage, with the keys of the conventions."""
    run(
        host,
        """
        with WorkflowTracer("bug_fix") as w, w.stage_context("investigation", "obs"):
            llm("a secret prompt", temperature=0.2, max_tokens=50, metadata={"ticket": 7})
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    receiver.wait(3)
    span, stage, workflow = (receiver.by_name(n) for n in ("chat gpt-4o", "stage.investigation", "workflow.bug_fix"))
    assert (span.trace_id, span.parent_id) == (stage.trace_id, stage.span_id)
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.agent.name": "observability-expert",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "c1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.conversation.id": workflow.attributes["hypertool.run_id"],
        "hypertool.metadata.ticket": 7,
    }
    assert {key: span.attributes.get(key) for key in wanted} == wanted
    assert "secret prompt" not in str(receiver.spans), "content only by choice"
    assert not [key for s in receiver.spans for key in s.attributes if key.startswith("langfuse.")]


@pytest.mark.predecessor("D20")
def test_contents_by_choice_are_redacted_and_capped(host: Host, receiver: OtlpReceiver) -> None:
    run(
        host,
        """
        llm("use sk-proj-abcdefgh12345678 and " + "x" * 100_000)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
    )
    attributes = receiver.wait(1)[0].attributes
    assert "sk-proj-abcdefgh" not in attributes["gen_ai.input.messages"]
    assert "[redacted]" in attributes["gen_ai.input.messages"]
    assert len(attributes["gen_ai.input.messages"]) < 10_000
    assert "the answer" in attributes["gen_ai.output.messages"]


def test_parent_is_right_in_gather_and_executor(host: Host, receiver: OtlpReceiver) -> None:
    """The parent is right in `gather`, in an executor and in generators."""
    run(
        host,
        """
        @observe_llm("stream")
        def stream(prompt):
            yield from (CHUNK, LAST)

        @observe_llm("later")
        async def later(prompt):
            await asyncio.sleep(0)
            return REPLY

        async def work():
            async with WorkflowTracer("w") as w:
                async def one(n):
                    async with w.stage_context(f"s{n}", "backend"):
                        await later("x")
                        with WorkflowExecutor() as pool:
                            pool.submit(llm, "x").result()
                        running = stream("x")
                        next(running)
                    list(running)  # the stage is over: the call still belongs to it
                await asyncio.gather(one(1), one(2))
        asyncio.run(work())
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    spans = receiver.wait(9)
    stages = {span.span_id for span in spans if span.name.startswith("stage.")}
    calls = [span for span in spans if span.name.startswith("chat ")]
    assert len(calls) == 6
    for stage in stages:
        assert sorted(c.name for c in calls if c.parent_id == stage) == ["chat gpt-4o", "chat later", "chat stream"]


def test_abandoned_stream_leaves_the_callers_span(host: Host, receiver: OtlpReceiver) -> None:
    """An abandoned stream does not stay the caller's current span, and is an error."""
    out = run(
        host,
        """
        from opentelemetry import trace
        with WorkflowTracer("w") as w, w.stage_context("s", "backend"):
            before = trace.get_current_span()
            running = ObservableLLM(lambda p: (c for c in [CHUNK, CHUNK]), "m")("x")
            next(running)
            assert trace.get_current_span() is before
            del running
            assert trace.get_current_span() is before
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert out == ""
    receiver.wait(3)
    span = receiver.by_name("chat m")
    assert span.status == ERROR
    assert span.attributes["hypertool.usage.missing"] == "stream_cut"
    assert receiver.by_name("stage.s").status != ERROR


def test_an_enclosing_call_is_an_agent_without_usage(
    host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver
) -> None:
    run(
        host,
        """
        ObservableLLM(lambda p: llm(p), "outer")("x", persona="backend")
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    receiver.wait(2)
    langfuse.wait(2)
    agent = receiver.by_name("invoke_agent backend-engineer")
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert not [key for key in agent.attributes if "usage" in key or "cost" in key]
    assert receiver.by_name("chat gpt-4o").parent_id == agent.span_id
    assert [(one.type, one.usage != {}) for one in langfuse.observations if one.name.startswith("invoke")] == [
        ("AGENT", False)
    ]
    assert len(langfuse.generations()) == 1


@pytest.mark.predecessor("D16")
def test_both_sinks_get_the_same_span(host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver) -> None:
    """Both sinks get the same span, and the user is the persona."""
    out = run(
        host,
        """
        with WorkflowTracer("bug_fix") as w:
            with w.stage_context("investigation", "obs") as stage:
                llm("x")
            with w.stage_context("implement_fix", "backend") as stage:
                llm("x")
                stage.set_quality_gate(False, "tests fail")
        print(w.run_id)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    run_id = out.strip()
    assert sorted(s.span_id for s in receiver.wait(5)) == sorted(s.span_id for s in langfuse.wait(5))
    assert {one.session for one in langfuse.observations} == {run_id}
    assert {one.trace_name for one in langfuse.observations} == {"workflow.bug_fix"}
    assert {one.trace_id for one in langfuse.observations} == {langfuse.spans[0].trace_id}
    found = {(one.name, one.user, tuple(one.tags), one.type) for one in langfuse.observations}
    first, second = ("bug-investigation", "bug_fix"), ("bug-fix", "bug_fix")
    assert found == {
        ("workflow.bug_fix", None, ("bug_fix",), "SPAN"),
        ("stage.investigation", "observability-expert", first, "SPAN"),
        ("chat gpt-4o", "observability-expert", first, "GENERATION"),
        ("stage.implement_fix", "backend-engineer", second, "SPAN"),
        ("chat gpt-4o", "backend-engineer", second, "GENERATION"),
    }
    for generation in langfuse.generations():
        assert generation.usage == {"input": 60, "input_cached_tokens": 40, "output": 15, "output_reasoning_tokens": 5}
        assert generation.cost["total"] > 0
        assert generation.model == "gpt-4o-2024-08-06"
    scores = langfuse.wait_for_scores(2)
    by_stage = {score["observationId"]: score for score in scores}
    assert by_stage[langfuse.observation("stage.investigation").id]["value"] == 1
    failed = by_stage[langfuse.observation("stage.implement_fix").id]
    assert (failed["value"], failed["comment"], failed["name"]) == (0, "tests fail", "quality_gate")
    assert host.counters("exp") == {("otlp", "success"): 5, ("langfuse", "success"): 5}


def test_the_score_of_one_gate_has_one_id(tmp_path: Path, langfuse: LangfuseReceiver) -> None:
    sink = LangfuseSink(Keys("pk-lf-test", "sk-lf-test-secret", langfuse.url), lambda *_: None)
    for _ in range(3):
        sink.score("a" * 32, "b" * 16, "quality_gate", True)
    assert sink.scores.flush(10)
    assert langfuse.score_posts == 3
    assert len(langfuse.wait_for_scores(1)) == 1


def test_langfuse_works_without_otlp(host: Host, langfuse: LangfuseReceiver) -> None:
    """Langfuse works without OTLP; for an unknown model, no cost is sent."""
    done = host.python(
        HEAD
        + """
ObservableLLM(lambda p: {**REPLY, "model": "nobody-knows-1"}, "nobody-knows-1")("x")
"""
        + FLUSH,
        **langfuse.environment,
    )
    assert done.returncode == 0, done.stderr
    langfuse.wait(1)
    assert langfuse.generations()[0].cost == {}
    assert host.counters("exp") == {("langfuse", "success"): 1}


def test_applications_provider_makes_the_span(host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver) -> None:
    """The application's provider makes the span, and Langfuse still gets it."""
    run(
        host,
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(memory))
        trace.set_tracer_provider(provider)
        with provider.get_tracer("app").start_as_current_span("theirs"):
            llm("x", persona="obs")
        assert sorted(s.name for s in memory.get_finished_spans()) == ["chat gpt-4o", "theirs"]
        assert not [key for s in memory.get_finished_spans() for key in s.attributes if key.startswith("langfuse.")]
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    assert [span.name for span in langfuse.wait(1)] == ["chat gpt-4o"], "nothing foreign reaches Langfuse"
    (call,) = langfuse.generations()
    assert (call.user, call.tags, call.model) == ("observability-expert", ["default"], "gpt-4o-2024-08-06")
    assert call.usage == {"input": 60, "input_cached_tokens": 40, "output": 15, "output_reasoning_tokens": 5}
    assert call.cost["total"] > 0
    assert receiver.spans == [], "the application's own pipeline sends it"


def test_langfuse_false_keeps_a_function_out(host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver) -> None:
    """`langfuse=False` keeps one function out of Langfuse."""
    run(
        host,
        """
        ObservableLLM(lambda p: REPLY, "private", langfuse=False)("x")
        llm("x")
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    assert len(receiver.wait(2)) == 2
    assert [span.name for span in langfuse.wait(1)] == ["chat gpt-4o"]


def test_langfuse_series_exist_from_the_first_span(host: Host, langfuse: LangfuseReceiver) -> None:
    """The export series of Langfuse exist from the first span on."""
    langfuse.status = 401
    done = host.python(
        HEAD + 'llm("x")\n' + FLUSH, **{**langfuse.environment, "LANGFUSE_SECRET_KEY": "sk-lf-wrong-one"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("answered 401") == 1
    assert "LANGFUSE_SECRET_KEY" in done.stderr
    assert "sk-lf-wrong-one" not in done.stderr
    totals = host.store.merge().totals.counters
    assert {key[2]: value for key, value in totals.items() if key[:2] == ("exp", "langfuse")} == {
        "success": 0,
        "failure": 1,
        "dropped": 0,
    }


def test_forked_child_sends_only_its_own_spans(host: Host, langfuse: LangfuseReceiver) -> None:
    """A forked child sends its own spans and none of its parent's."""
    done = host.python(
        HEAD
        + """
import os
llm("x", metadata={"by": "parent"})
child = os.fork()
if child == 0:
    llm("x", metadata={"by": "child"})
    assert spans.langfuse_sink().flush(20)
    hypertool.get_persona_metrics().flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
        + FLUSH,
        **langfuse.environment,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(span.attributes["hypertool.metadata.by"] for span in langfuse.wait(2)) == ["child", "parent"]
    assert host.counters("exp") == {("langfuse", "success"): 2}
    assert host.counters("llm") == {("unknown", "gpt-4o", "success"): 2}


def test_otel_sdk_disabled_silences_both_sinks(host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver) -> None:
    """OTEL_SDK_DISABLED silences both sinks; metrics go on."""
    run(
        host,
        'llm("x", persona="backend")',
        OTEL_SDK_DISABLED="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    assert receiver.requests == langfuse.requests == []
    assert host.counters("llm") == {("backend-engineer", "gpt-4o", "success"): 1}


def test_duration_has_the_trace_as_exemplar(host: Host, receiver: OtlpReceiver) -> None:
    """The duration has the span's trace as its exemplar."""
    run(host, 'llm("x")', OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    span = receiver.wait(1)[0]
    catalogue = load_catalogue()
    durations = [
        family
        for family in families(host.store.merge(), catalogue, {}, 0.0)
        if family.name == "hypertool_llm_request_duration_seconds"
    ]
    found = [sample.exemplar for family in durations for sample in family.samples if sample.exemplar]
    assert [one.labels["trace_id"] for one in found] == [span.trace_id]
