"""Reading what a call used costs a few microseconds, a chunk that says nothing a fraction of one; on the real SDKs.

scripts/test.sh --benchmarks tests/benchmarks/test_llm_usage.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.llm.conftest import sdk_python as sdk_python  # the SDKs' own environment

REPOSITORY = Path(__file__).resolve().parents[2]

# Microseconds a call; an idle machine is well below, a busy one is given some room.
LIMITS = {"extract": 3.0, "feed": 0.3, "feed dict": 0.5, "cost": 1.0}
ROOM = 2.0

PROGRAM = """
import json, timeit
from anthropic.types import Message, RawContentBlockDeltaEvent
from google.genai.types import GenerateContentResponse
from langchain_core.messages import AIMessage, AIMessageChunk
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from hypertool.llm import StreamReader, cost_of, extract

chat = ChatCompletion.model_validate({
    "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-5", "service_tier": "default",
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                 "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
              "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 0},
              "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0}}})
responses = Response.model_validate({
    "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
              "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
              "output_tokens_details": {"reasoning_tokens": 7}}})
claude = Message.model_validate({
    "id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4,
              "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0}}})
gemini = GenerateContentResponse.model_validate({
    "candidates": [{"finish_reason": "STOP"}], "model_version": "gemini-2.5-pro", "usage_metadata": {
        "prompt_token_count": 10, "candidates_token_count": 5, "thoughts_token_count": 3, "total_token_count": 18}})
chain = AIMessage(content="x", response_metadata={"model_name": "gpt-5", "finish_reason": "stop"}, usage_metadata={
    "input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 3},
    "output_token_details": {"reasoning": 2}})
piece = ChatCompletionChunk.model_validate({
    "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]})
event = RawContentBlockDeltaEvent.model_validate({
    "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}})

calls = {"empty": lambda: None}
for name, response in {"openai chat": chat, "openai responses": responses, "anthropic": claude, "gemini": gemini,
                       "langchain": chain, "dict": chat.model_dump()}.items():
    calls["extract " + name] = lambda response=response: extract(response)
for name, chunk in {"feed openai": piece, "feed anthropic": event, "feed text": "abc",
                    "feed dict openai": piece.model_dump(), "feed dict anthropic": event.model_dump()}.items():
    calls[name] = lambda feed=StreamReader().feed, chunk=chunk: feed(chunk)
usage = extract(chat).usage
calls["cost"] = lambda: cost_of("gpt-5", usage)

# In turns, so that a burst of other work on the machine does not fall on one of them alone.
best = dict.fromkeys(calls, float("inf"))
for _ in range(100):
    for name, call in calls.items():
        best[name] = min(best[name], min(timeit.repeat(call, number=200, repeat=5)) / 200 * 1e6)
found = {name: value - best["empty"] for name, value in best.items() if name != "empty"}
print(json.dumps(found))
"""


@pytest.mark.benchmark
@pytest.mark.timeout(1200)
def test_reading_usage_is_not_in_the_way(sdk_python: Path) -> None:
    done = subprocess.run(
        [sdk_python, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "instrumentation")},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    slow = []
    for name, microseconds in found.items():
        limit = next(LIMITS[key] for key in sorted(LIMITS, key=len, reverse=True) if name.startswith(key))
        print(f"{name:24} {microseconds:6.2f} us   (target {limit:.1f})")
        if microseconds > limit * ROOM:
            slow.append(f"{name}: {microseconds:.2f} us, limit {limit * ROOM:.1f}")
    assert not slow, slow
