"""The peers, each doing what its documentation says for a function that calls an LLM."""

from __future__ import annotations

import tempfile
from pathlib import Path

import calls
from calls import MODEL, PROMPT, RESPONSE, Contender, plain

USAGE = RESPONSE["usage"]


def bare(url: str) -> Contender:
    return Contender(lambda: plain(PROMPT))


def prometheus(url: str) -> Contender:
    """Tokens, requests, duration and budget, with their labels looked up for each call."""
    import time

    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    registry = CollectorRegistry()
    tokens = Counter("tokens", "t", ["persona", "chatmode", "model"], registry=registry)
    requests = Counter("requests", "r", ["persona", "model", "outcome"], registry=registry)
    seconds = Histogram("seconds", "s", ["persona", "model"], registry=registry)
    left = Gauge("left", "l", ["persona"], registry=registry)

    def call() -> None:
        began = time.perf_counter()
        used = plain(PROMPT)["usage"]["total_tokens"]
        tokens.labels(calls.PERSONA, "default", MODEL).inc(used)
        requests.labels(calls.PERSONA, MODEL, "success").inc()
        seconds.labels(calls.PERSONA, MODEL).observe(time.perf_counter() - began)
        left.labels(calls.PERSONA).dec(used)

    return Contender(call)


def otel_span(url: str) -> Contender:
    """A span with ten attributes, made current by hand: the least that any use of the SDK's span costs."""
    from opentelemetry import context, trace
    from otel import provider

    own = provider(url)
    tracer = own.get_tracer("peer")
    start = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.agent.name": calls.PERSONA,
        "gen_ai.request.temperature": 0.2,
    }

    def call() -> None:
        span = tracer.start_span(f"chat {MODEL}", attributes=start)
        token = context.attach(trace.set_span_in_context(span))
        response = plain(PROMPT)
        context.detach(token)
        used = response["usage"]
        span.set_attributes(
            {
                "gen_ai.response.model": response["model"],
                "gen_ai.response.id": response["id"],
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.usage.input_tokens": used["prompt_tokens"],
                "gen_ai.usage.output_tokens": used["completion_tokens"],
            }
        )
        span.end()

    return Contender(call, own.force_flush)


def util_genai(url: str) -> Contender:
    """OpenTelemetry's own GenAI helper: a span and its client metrics."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.util.genai.handler import TelemetryHandler
    from otel import provider

    own = provider(url)
    handler = TelemetryHandler(tracer_provider=own, meter_provider=MeterProvider([InMemoryMetricReader()]))

    def call() -> None:
        with handler.inference("openai", request_model=MODEL) as invocation:
            response = plain(PROMPT)
            invocation.response_model_name = response["model"]
            invocation.response_id = response["id"]
            invocation.finish_reasons = ["stop"]
            invocation.input_tokens = response["usage"]["prompt_tokens"]
            invocation.output_tokens = response["usage"]["completion_tokens"]

    return Contender(call, own.force_flush)


def langfuse(url: str) -> Contender:
    """`@observe` for a generation, with its usage."""
    from langfuse import Langfuse, observe
    from otel import Discard

    client = Langfuse(
        public_key="pk-lf-test",
        secret_key="sk-lf-test-secret",
        base_url=url or "http://127.0.0.1:9",
        span_exporter=None if url else Discard(),
    )

    @observe(as_type="generation")
    def chat(prompt: str) -> object:
        response = plain(prompt)
        used = response["usage"]
        client.update_current_generation(
            model=response["model"], usage_details={"input": used["prompt_tokens"], "output": used["completion_tokens"]}
        )
        return response

    return Contender(lambda: chat(PROMPT), client.flush)


def _traceloop(url: str) -> object:
    import os

    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"  # as ours: no contents
    from otel import exporter
    from traceloop.sdk import Traceloop

    Traceloop.init("peer", exporter=exporter(url), telemetry_enabled=False, instruments=set())
    from opentelemetry import trace

    return trace.get_tracer_provider()


def traceloop_task(url: str) -> Contender:
    provider = _traceloop(url)
    from traceloop.sdk.decorators import task

    chat = task(name="chat")(plain)
    return Contender(lambda: chat(PROMPT), provider.force_flush)  # type: ignore[attr-defined]


def traceloop_workflow(url: str) -> Contender:
    provider = _traceloop(url)
    from traceloop.sdk.decorators import task, workflow

    chat = task(name="chat")(plain)
    run = workflow(name="run")(lambda: chat(PROMPT))
    return Contender(run, provider.force_flush)  # type: ignore[attr-defined]


def openlit_trace(url: str) -> Contender:
    """Its decorator writes the text of arguments and response on the span; a dict it would only warn about."""
    from opentelemetry import trace
    from otel import provider

    own = provider(url)
    trace.set_tracer_provider(own)
    import openlit

    prices = Path(tempfile.mkstemp(suffix=".json")[1])
    prices.write_text("{}")  # else it asks a server for them
    openlit.init(pricing_json=str(prices), disable_metrics=True, disable_events=True, capture_message_content=False)
    prices.unlink()
    chat = openlit.trace(lambda prompt: str(len(plain(prompt))))
    return Contender(lambda: chat(PROMPT), own.force_flush)


CONTENDERS = {
    found.__name__: found
    for found in (bare, prometheus, otel_span, util_genai, langfuse, traceloop_task, traceloop_workflow, openlit_trace)
}
