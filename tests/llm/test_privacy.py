"""Whatever secret is put wherever: it is in no byte that leaves the process, in no log line and in no file."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.credentials import CREDENTIALS, secrets
from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
PLACES = 14

PROGRAM = """
import asyncio, contextlib, json, logging, os, sys
logging.basicConfig(level="DEBUG")
import hypertool
from hypertool import ObservableLLM, WorkflowTracer
from hypertool.spans import span as spans

def reply(text):
    return {"model": text, "id": text, "object": "chat.completion",
            "choices": [{"finish_reason": text, "message": {"role": "assistant", "content": text, "tool_calls": [
                {"id": text, "type": "function", "function": {"name": text, "arguments": json.dumps({"a": text})}}]}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

def stream(prompt):
    half = len(prompt) // 2
    for piece in (prompt[:half], prompt[half:]):
        yield {"object": "chat.completion.chunk", "model": "m", "choices": [{"delta": {"content": piece}}]}
    yield {"object": "chat.completion.chunk", "model": "m", "choices": [],
           "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

class Failed(Exception):
    pass

def fail(prompt):
    raise Failed("the provider said: " + prompt) from ValueError(prompt)

def plant(text):
    chat = [{"role": text, "content": text}, {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "tool", "tool_call_id": text, "content": {"said": text}}]
    with WorkflowTracer("flow " + text, {"note": text, text: "a key"}) as workflow:
        stage = workflow.stage_context("stage " + text, "backend", {"list": [text, text]})
        with contextlib.suppress(Failed), stage as s:
            ObservableLLM(lambda prompt, **rest: reply(text), text, provider=text)(
                chat, chatmode=text, metadata={"note": text, text: 1, "deep": {"x": text}}, system=text)
            list(ObservableLLM(stream, "m")(text))
            s.set_quality_gate(False, "it failed: " + text)
            with contextlib.suppress(Failed):
                ObservableLLM(fail, "m")(text)
            fail(text)
    by_hand = hypertool.get_langfuse_integration()
    trace = by_hand.start_trace("trace " + text, metadata={"note": text})
    by_hand.create_generation(trace, text, text, prompt=chat, completion=text, usage={"input": 1, "output": 1})
    by_hand.end_trace(trace, "ended: " + text, output=text)

for text in json.load(open(os.environ["PLANTED"])):
    plant(text)
    for sink in (spans.sink(), spans.langfuse_sink(), spans.langfuse_sink().scores):
        assert sink.flush(30)
assert hypertool.get_persona_metrics().flush()
"""


class _Keeping:
    """A receiver that keeps what it got, unpacked."""

    def __enter__(self) -> Any:
        self.bodies: list[bytes] = []
        return super().__enter__()  # type: ignore[misc]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(headers.get("content-encoding", ""), bytes)
        self.bodies.append(unpack(body))
        return super().take(path, headers, body)  # type: ignore[misc,no-any-return]


class Otlp(_Keeping, OtlpReceiver):
    """The OTLP endpoint."""


class Langfuse(_Keeping, LangfuseReceiver):
    """The Langfuse server."""


def _run(root: Path, texts: list[str], capture: str, program: str = PROGRAM) -> tuple[Otlp, Langfuse, bytes]:
    """What both sinks got, and everything that was said or written on the host."""
    host = Host(root)
    planted = root / "planted.json"
    planted.write_text(json.dumps(texts))
    with Otlp() as otlp, Langfuse() as langfuse:
        done = host.python(
            program,
            120,
            PLANTED=str(planted),
            OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url,
            **{CAPTURE: capture},
            **langfuse.environment,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    served = host.start(Host.command("status", "--json"), 30).stdout
    files = b"".join(
        path.read_bytes() for path in sorted(host.state.rglob("*")) if path.is_file() and path.name != "fingerprint.key"
    )
    return otlp, langfuse, b"".join([done.stdout.encode(), done.stderr.encode(), served.encode(), files])


def _spellings(secret: str) -> set[bytes]:
    """How it may stand in protobuf, and in JSON within JSON."""
    once = json.dumps(secret)[1:-1]
    return {
        one.encode() for one in (secret, once, json.dumps(once)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    }


# Not shrunk: an example is a process of its own, and the message names the secret already.
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(planted=st.lists(secrets(), min_size=10, max_size=25))
def test_no_planted_secret_leaves_the_process(
    planted: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [f"before {text} after" for text, _ in [*planted, *CREDENTIALS.values()]]
    otlp, langfuse, local = _run(tmp_path_factory.mktemp("host"), texts, "SPAN_ONLY")
    everything = {"otlp": b"".join(otlp.bodies), "langfuse": b"".join(langfuse.bodies), "host": local}
    for _, secret in [*planted, *CREDENTIALS.values()]:
        for spelling in _spellings(secret):
            for place, data in everything.items():
                assert spelling not in data, f"{secret!r} reached {place}"
    for place in ("otlp", "langfuse"):
        assert everything[place].count(b"[redacted]") > PLACES * len(texts), f"not everything was planted in {place}"


QUIET = (
    PROGRAM[: PROGRAM.index("def plant")]
    + """
words = "some words of ours"
completion = {**reply("m"), "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": words}}]}
ObservableLLM(lambda prompt, **rest: completion, "whole")([{"role": "user", "content": words}], system=words)
for _ in range(2):
    list(ObservableLLM(stream, "streamed")(words))
for sink in (spans.sink(), spans.langfuse_sink()):
    assert sink.flush(30)
assert hypertool.get_persona_metrics().flush()
"""
)


def test_no_content_leaves_the_process_unasked(tmp_path: Path) -> None:
    """Unless it is asked for, no word of a prompt or completion leaves the process."""
    otlp, langfuse, local = _run(tmp_path, [], "", QUIET)
    assert len(otlp.spans) == len(langfuse.spans) == 3
    for data in (*otlp.bodies, *langfuse.bodies, local):
        assert b"some words" not in data
    prints = {span.name: span.attributes["hypertool.prompt.fingerprint"] for span in otlp.spans}
    assert len(set(prints.values())) == 2, "one for the prompt that was sent twice, and another one"


def test_chosen_contents_are_input_and_output(tmp_path: Path) -> None:
    """Contents that are asked for become Langfuse's input and output."""
    _, langfuse, _ = _run(tmp_path, ["some words of ours"], "SPAN_ONLY")
    streamed = next(one for one in langfuse.observations if one.name == "chat m" and one.level != "ERROR")
    assert json.loads(streamed.input) == [
        {"role": "user", "parts": [{"type": "text", "content": "some words of ours"}]}
    ]
    assert json.loads(streamed.output) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "some words of ours"}]}
    ]
