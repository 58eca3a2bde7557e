"""Equal totals: counters, spans, Langfuse's usage and budgets say the same of any sequence of calls, exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver

CALLS = 2500

PROGRAM = """
import asyncio, contextlib, json, random
import hypertool
from hypertool import ObservableLLM, TokenBudgetExceeded, WorkflowExecutor, WorkflowTracer
from hypertool.spans import span as spans

SEED, CALLS = {seed}, {calls}
dice = random.Random(SEED)
PERSONAS = ["backend-engineer", "testing-specialist", "devops-engineer", "strict", "hourly"]

def openai(n):
    cached, thought = dice.randrange(n), dice.randrange(n)
    return {{"model": "gpt-4o", "id": "x", "object": "chat.completion", "choices": [{{"finish_reason": "stop"}}],
            "usage": {{"prompt_tokens": n, "completion_tokens": n, "total_tokens": 2 * n,
                      "prompt_tokens_details": {{"cached_tokens": cached}},
                      "completion_tokens_details": {{"reasoning_tokens": thought}}}}}}

def anthropic(n):
    return {{"type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "id": "m", "content": [],
            "stop_reason": "end_turn",
            "usage": {{"input_tokens": n, "output_tokens": dice.randrange(n), "cache_read_input_tokens": 3 * n,
                      "cache_creation_input_tokens": dice.randrange(n)}}}}

def unpriced(n):
    return {{**openai(n), "model": "house-model"}}

def silent(n):
    return "text"

def response(n):
    return dice.choice([openai, anthropic, unpriced, silent])(n)

def chunks(n):
    chunk = {{"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{{"delta": {{"content": "x"}}}}]}}
    yield from [chunk] * dice.randrange(1, 4)
    if dice.random() < 0.1:
        raise OSError("cut")
    yield {{"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [],
           "usage": {{"prompt_tokens": n, "completion_tokens": 1, "total_tokens": n + 1}}}}

def plain(prompt, n):
    if dice.random() < 0.1:
        raise RuntimeError("provider")
    return response(n)

async def later(prompt, n):
    await asyncio.sleep(0 if dice.random() < 0.9 else 0.005)
    return plain(prompt, n)

async def stream_later(prompt, n):
    for chunk in chunks(n):
        await asyncio.sleep(0)
        yield chunk

sync = ObservableLLM(plain, "gpt-4o")
nested = ObservableLLM(lambda prompt, n: sync(prompt, n), "outer")
asynchronous = ObservableLLM(later, "claude-sonnet-4-5")
streamed = ObservableLLM(lambda prompt, n: chunks(n), "gpt-4o")
streamed_later = ObservableLLM(stream_later, "gpt-4o")

def consume(running):
    for _ in running:
        if dice.random() < 0.1:
            break
    if dice.random() < 0.5:
        running.close()

async def one(number):
    n, who = dice.randrange(1, 40), dice.choice([*PERSONAS, "unknown", None])
    with contextlib.suppress(RuntimeError, OSError, TokenBudgetExceeded, asyncio.CancelledError), \\
            hypertool.context(persona=who):
        kind = dice.randrange(7)
        if kind == 0:
            sync("x", n)
        elif kind == 1:
            nested("x", n)
        elif kind == 2:
            await asynchronous("x", n)
        elif kind == 3:
            task = asyncio.ensure_future(asynchronous("x", n))
            await asyncio.sleep(0)
            if dice.random() < 0.5:
                task.cancel()
            await task
        elif kind == 4:
            consume(streamed("x", n))
        elif kind == 5:
            running = streamed_later("x", n)
            async for _ in running:
                if dice.random() < 0.1:
                    break
            await running.aclose()
        else:
            with WorkflowExecutor(2) as pool:
                list(pool.map(lambda _: guarded(n), range(2)))

def guarded(n):
    try:
        return sync("x", n)
    except (RuntimeError, TokenBudgetExceeded):
        return None

async def work():
    made = 0
    while made < CALLS:
        async with WorkflowTracer("w") as workflow:
            async def staged(number):
                async with workflow.stage_context(f"s{{number % 5}}", dice.choice(PERSONAS)):
                    await one(number)
            await asyncio.gather(*(staged(number) for number in range(50)))
        made += 50
        for sink in (spans.sink(), spans.langfuse_sink()):
            assert sink.flush(30)

metrics = hypertool.get_persona_metrics()
debits = {{}}
from hypertool.recording.runs import Account
class Watched(Account):
    __slots__ = ("_used",)
    @property
    def used(self): return self._used
    @used.setter
    def used(self, value):
        before = getattr(self, "_used", 0)
        self._used = value
        debits[self.persona.name] = debits.get(self.persona.name, 0) + value - before
import hypertool.recording.recorder
hypertool.recording.recorder.Account = Watched
asyncio.run(work())
import gc; gc.collect()
for sink in (spans.sink(), spans.langfuse_sink()):
    assert sink.flush(30)
windows = {{}}
for (name, *_), used in metrics.recorder.windows.items():
    windows[name] = windows.get(name, 0) + used
assert metrics.flush()
print(json.dumps({{**debits, **windows}}))
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_counters_spans_and_budgets_agree_exactly(tmp_path: Path, seed: int) -> None:
    """Counters, spans, Langfuse and budgets agree exactly."""
    host = Host(tmp_path)
    host.config.write_text(
        '[personas.strict]\ntokens = 900\non_exceed = "block"\n[personas.hourly]\ntokens = 5000\nwindow = "hour"\n'
    )
    with OtlpReceiver() as receiver, LangfuseReceiver() as langfuse:
        done = host.python(
            PROGRAM.format(seed=seed, calls=CALLS),
            110,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            **langfuse.environment,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        spans, generations = receiver.spans, langfuse.generations()
    debits = json.loads(done.stdout)
    tokens, cost = _sum(host.counters("tok"), 0), _sum(host.counters("usd"), 0)
    assert _sum(host.counters("ltk"), 0) == tokens
    requests = host.counters("llm")
    blocked = sum(count for key, count in requests.items() if key[2] == "blocked")
    calls = [span for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    by_span: dict[str, int] = {}
    for span in calls:
        used = sum(span.attributes.get(f"gen_ai.usage.{part}_tokens", 0) for part in ("input", "output"))
        if used:
            who = span.attributes["gen_ai.agent.name"]
            by_span[who] = by_span.get(who, 0) + used
    by_generation: dict[str, int] = {}
    money: dict[str, int] = {}
    for one in generations:
        assert one.user is not None
        if one.usage:
            by_generation[one.user] = by_generation.get(one.user, 0) + sum(one.usage.values())
        if one.cost:
            money[one.user] = money.get(one.user, 0) + round(one.cost["total"] * 1e9)
    assert len(tokens) == 6
    assert by_span == tokens
    assert by_generation == tokens
    assert money == cost
    assert debits == {who: used for who, used in tokens.items() if who != "unknown"}
    made = sum(requests.values()) - blocked
    assert len(calls) == len(generations) == made
    assert sum(count for count, _ in host.durations("lld").values()) == made
    assert {key[2] for key in requests} == {"success", "error", "cancelled", "blocked"}


def _sum(counters: dict[tuple[str, ...], int], label: int) -> dict[str, int]:
    totals: dict[str, int] = {}
    for key, value in counters.items():
        totals[key[label]] = totals.get(key[label], 0) + value
    return totals
