"""What tests of spans and sinks share: a host, receivers for both sinks, and programs that call an LLM.

A folder's conftest imports the fixtures that it wants.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver

HEAD = """
import asyncio, contextlib, sys
import hypertool
from hypertool import ObservableLLM, WorkflowExecutor, WorkflowTracer, observe_llm
from hypertool.spans import span as spans
REPLY = {"model": "gpt-4o-2024-08-06", "id": "c1", "object": "chat.completion",
         "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "the answer"}}],
         "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                   "prompt_tokens_details": {"cached_tokens": 40},
                   "completion_tokens_details": {"reasoning_tokens": 5}}}
CHUNK = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"delta": {"content": "x"}}]}
LAST = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
llm = ObservableLLM(lambda prompt, **rest: REPLY, "gpt-4o")
"""
FLUSH = """
for sink in (spans.sink(), spans.langfuse_sink(), spans.langfuse_sink() and spans.langfuse_sink().scores):
    assert sink is None or sink.flush(20)
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A pretend host of the test's own."""
    return Host(tmp_path)


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A healthy OTLP endpoint."""
    with OtlpReceiver() as running:
        yield running


@pytest.fixture
def langfuse() -> Iterator[LangfuseReceiver]:
    """A healthy Langfuse server."""
    with LangfuseReceiver() as running:
        yield running


def run(host: Host, code: str, **more: str) -> str:
    """Run a program that calls an LLM, and send everything; it must print only its own output, which is returned."""
    done = host.python(HEAD + textwrap.dedent(code) + FLUSH, **more)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def to_otlp(url: str) -> dict[str, str]:
    """The environment for an OTLP endpoint."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


def to_langfuse(url: str) -> dict[str, str]:
    """The environment for a Langfuse server that needs no particular keys."""
    return {"LANGFUSE_PUBLIC_KEY": "pk-lf-any", "LANGFUSE_SECRET_KEY": "sk-lf-any", "LANGFUSE_HOST": url}


def exports(host: Host, sink: str) -> dict[str, int]:
    """What became of the spans that a sink was given, by outcome."""
    return {outcome: spans for (name, outcome), spans in host.counters("exp").items() if name == sink}
