"""With nothing configured metrics and budgets work and no span is made; switched off, every wrapper is a pass-through.

In programs of their own: both are decided once in a process.
"""

from __future__ import annotations

import textwrap

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.sinks import HEAD

NOTHING_CONFIGURED = """
import logging, threading
from hypertool import TokenBudgetExceeded, get_persona_metrics
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

@observe_llm("streamed", persona="testing")
def stream(prompt):
    yield CHUNK
    yield LAST

@observe_llm("later", persona="devops")
async def later(prompt):
    return REPLY

list(stream("x"))
asyncio.run(later("x"))
with WorkflowTracer("bug_fix") as w:
    with w.stage_context("investigation", "obs"):
        for _ in range(3): llm("x")
    print(get_persona_metrics().get_remaining_budget("obs"))
    with w.stage_context("implement_fix", "backend"):
        for _ in range(17): llm("x")
        try:
            llm("x")
        except TokenBudgetExceeded:
            print("blocked")
print([t.name for t in threading.enumerate() if t.name.startswith("hypertool-") and "publisher" not in t.name])
print([name for name in sys.modules if name.startswith(("opentelemetry", "http.client", "hypertool.spans.recorded"))])
print(spans.start("one", dict), spans.sink(), spans.langfuse_sink())
"""


def test_without_settings_metrics_and_budgets_work(host: Host) -> None:
    """With nothing configured, metrics and budgets work, no span is made, and one line says so."""
    host.config.write_text('[personas.backend-engineer]\non_exceed = "block"\n')
    done = host.python(HEAD + NOTHING_CONFIGURED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(2000 - 3 * 120), "blocked", "[]", "[]", "None None None"]
    told = [line for line in done.stderr.splitlines() if "spans" in line]
    assert len(told) == 1, done.stderr
    assert told[0].startswith("INFO no spans are made: ")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in told[0]
    assert "LANGFUSE_" in told[0]
    assert host.counters("llm") == {
        ("observability-expert", "gpt-4o", "success"): 3,
        ("testing-specialist", "streamed", "success"): 1,
        ("devops-engineer", "later", "success"): 1,
        ("backend-engineer", "gpt-4o", "success"): 17,
        ("backend-engineer", "gpt-4o", "blocked"): 1,
    }
    assert {key[0]: tokens for key, tokens in host.counters("tok").items()} == {
        "observability-expert": 360,
        "testing-specialist": 15,
        "devops-engineer": 120,
        "backend-engineer": 2040,
    }
    assert host.counters("exp") == {}


PASS_THROUGH = """
import asyncio, inspect, sys, types
import hypertool
from hypertool import *

class Reply:
    usage = property(lambda self: sys.exit("it was looked at"))

reply = Reply()
error = LookupError("the function's own")

def plain(prompt, temperature=0): return reply
def fails(prompt): raise error
def own(prompt, persona=None, metadata=None): return persona, metadata
def generator(prompt):
    got = yield 1
    yield got
    return "end"
async def later(prompt): return reply
async def chunks(prompt):
    yield 1
    yield 2

class Client:
    @observe_llm("m")
    def method(self, prompt): return self, prompt
    @observe_llm("m")
    async def amethod(self, prompt): return self, prompt
    @observe_llm("m")
    @classmethod
    def made(cls, prompt): return cls, prompt
    @observe_llm("m")
    @staticmethod
    def loose(prompt): return prompt
    def __call__(self, prompt): return self, prompt

client = Client()
for wrap in (lambda function: ObservableLLM(function, "m"), observe_llm("m", persona="backend")):
    assert wrap(plain)("x") is reply
    assert wrap(plain)("x", temperature=1, persona="nobody-knows", chatmode="c", metadata={"a": 1}) is reply
    assert wrap(own)("x", persona="mine", metadata=7) == ("mine", 7)
    try:
        wrap(fails)("x")
        raise SystemExit("nothing was raised")
    except LookupError as raised:
        assert raised is error
    stream = wrap(generator)("x")
    assert type(stream) is types.GeneratorType and stream.gi_code is generator.__code__
    assert (next(stream), stream.send("sent")) == (1, "sent")
    assert asyncio.run(wrap(later)("x")) is reply
    flow = wrap(chunks)("x")
    assert type(flow) is types.AsyncGeneratorType and flow.ag_code is chunks.__code__
    async def read(): return [chunk async for chunk in flow]
    assert asyncio.run(read()) == [1, 2]
    assert wrap(client)("x") == (client, "x")
    assert wrap(lambda prompt: stream)("x") is stream
assert client.method("x") == (client, "x") and Client.made("x") == (Client, "x") and Client.loose("x") == "x"
assert asyncio.run(client.amethod("x")) == (client, "x")
llm = ObservableLLM(later, "m")
assert llm.wrap_sync("x") is reply and asyncio.run(ObservableLLM(plain, "m").wrap_async("x")) is reply

langfuse = LangfuseIntegration()
assert not langfuse.enabled
trace = langfuse.start_trace("t", "backend", "c", {})
langfuse.create_generation(trace, "g", "m", "p", "c", {})
langfuse.end_trace(trace)
assert langfuse.flush()
for _ in range(3):
    with WorkflowTracer("w") as w, w.stage_context("s", "backend"):
        llm.wrap_sync("x", persona="backend")
        get_persona_metrics().require_budget("backend")
import threading
assert [t.name for t in threading.enumerate()] == ["MainThread"]
"""


def test_switched_off_passes_everything_through(host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver) -> None:
    """Switched off, everything is passed through, and nothing is sent, written or reported."""
    host.config.write_text('[personas.backend-engineer]\ntokens = 1\non_exceed = "block"\n')
    done = host.python(
        textwrap.dedent(PASS_THROUGH),
        HYPERTOOL_DISABLED="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **langfuse.environment,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert receiver.requests == langfuse.requests == []
    assert not host.state.exists()
