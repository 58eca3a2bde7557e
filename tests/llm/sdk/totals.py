"""Equal totals with the real SDKs: whatever is called, streamed, left early or failed, the counters and the budget say
exactly what the providers sent.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import litellm
import openai
import pytest
import rows_amazon as amazon
import rows_google as google
import wrapped
import wrapped_others as others
from mistralai.client import Mistral
from provider import PROVIDER

import hypertool
from hypertool import ObservableLLM
from hypertool.llm.record import CallRecord

CALLS = 300
PERSONA = "backend-engineer"
# The stand-in has one address, whatever it answers; clients are dear to make.
GPT = openai.OpenAI(api_key="k", base_url=PROVIDER.url + "/v1", max_retries=0)
NOBODY = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9", max_retries=0)
CLAUDE = anthropic.Anthropic(api_key="k", base_url=PROVIDER.url, max_retries=0)
MISTRAL = Mistral(api_key="none", server_url=PROVIDER.url)
BEDROCK = amazon._client(PROVIDER.url)


def observed(method: Any) -> Any:
    return ObservableLLM(method, "m", default_persona=PERSONA)


def tokens(n: int) -> dict[str, int]:
    return {"prompt_tokens": n, "completion_tokens": 2, "total_tokens": n + 2}


def chunks(n: int) -> list[Any]:
    return [*others.chunks()[:-1], {**others.chunks()[-1], "usage": tokens(n)}]


def take(stream: Any, early: bool) -> None:
    for _ in stream:
        if early:
            break
    getattr(stream, "close", lambda: None)()


async def take_async(stream: Any, early: bool) -> None:
    async for _ in stream:
        if early:
            break


def openai_call(n: int, early: bool) -> bool:
    PROVIDER.json(others.chat(usage=tokens(n)))
    observed(GPT.chat.completions.create)(**wrapped.ASK)
    return True


def openai_stream(n: int, early: bool) -> bool:
    *sent, last = chunks(n)
    PROVIDER.events([*sent, {**last, "choices": []}], done=True)
    take(observed(GPT.chat.completions.create)(**wrapped.ASK, stream=True), early)
    return not early


def openai_fails(n: int, early: bool) -> bool:
    with pytest.raises(openai.APIConnectionError):
        observed(NOBODY.chat.completions.create)(**wrapped.ASK)
    return False


def anthropic_stream(n: int, early: bool) -> bool:
    start, *middle, last, stop = wrapped.EVENTS
    start = {**start, "message": {**start["message"], "usage": {"input_tokens": n, "output_tokens": 1}}}
    PROVIDER.events([start, *middle, {**last, "usage": {"output_tokens": 2}}, stop], named=True)
    with observed(CLAUDE.messages.stream)(**wrapped.ASK_CLAUDE) as stream:
        take(stream, early)
    return not early


def mistral_stream(n: int, early: bool) -> bool:
    PROVIDER.events(chunks(n), done=True)
    with observed(MISTRAL.chat.stream)(model="m", messages=others.HI) as stream:
        for _ in stream:
            if early:
                break
    return not early


def mistral_async(n: int, early: bool) -> bool:
    PROVIDER.events(chunks(n), done=True)

    async def work() -> None:
        async with await observed(MISTRAL.chat.stream_async)(model="m", messages=others.HI) as stream:
            await take_async(stream, early)

    asyncio.run(work())
    return not early


def litellm_call(n: int, early: bool) -> bool:
    observed(litellm.completion)(**others.litellm_ask(PROVIDER.json(others.chat(usage=tokens(n)))))
    return True


def litellm_stream(n: int, early: bool) -> bool:
    url = PROVIDER.events(chunks(n), done=True)
    stream = observed(litellm.completion)(**others.litellm_ask(url, **others.STREAMED))
    for _ in stream:
        if early:
            break
    del stream
    return not early


def bedrock_call(n: int, early: bool) -> bool:
    used = {"inputTokens": n, "outputTokens": 2, "totalTokens": n + 2}
    PROVIDER.json(amazon._body(used))
    observed(BEDROCK.converse)(modelId="m", messages=amazon._HI)
    return True


def bedrock_stream(n: int, early: bool) -> bool:
    used = {"inputTokens": n, "outputTokens": 2, "totalTokens": n + 2}
    PROVIDER.amazon(others.events(used))
    take(observed(BEDROCK.converse_stream)(modelId="m", messages=amazon._HI)["stream"], early)
    return not early


def gemini_stream(n: int, early: bool) -> bool:
    used = {"promptTokenCount": n, "candidatesTokenCount": 2, "totalTokenCount": n + 2}
    PROVIDER.events([google._body(None, "hel", None), google._body(used, "lo")])
    take(observed(others.GEMINI.models.generate_content_stream)(**others.ASK), early)
    return not early


KINDS: list[Callable[[int, bool], bool]] = [
    openai_call,
    openai_stream,
    openai_fails,
    anthropic_stream,
    mistral_stream,
    mistral_async,
    litellm_call,
    litellm_stream,
    bedrock_call,
    bedrock_stream,
    gemini_stream,
]


@pytest.mark.parametrize("seed", [1, 2])
def test_counters_and_budget_are_what_was_sent(
    seed: int, records: list[CallRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters and budget equal the usage that the providers sent."""
    monkeypatch.setenv("HYPERTOOL_STATE_DIR", str(tmp_path))
    dice = random.Random(seed)
    metrics = hypertool.get_persona_metrics()
    recorder = metrics.recorder
    before = {key: cell.value for key, cell in recorder.counters.items()}
    used = recorder.implicit.accounts[PERSONA].used if PERSONA in recorder.implicit.accounts else 0
    sent = whole = 0
    for _ in range(CALLS):
        n = dice.randrange(1, 50)
        if dice.choice(KINDS)(n, dice.random() < 0.2):
            sent += n + 2
            whole += 1
    gc.collect()
    grown = {key: cell.value - before.get(key, 0) for key, cell in recorder.counters.items()}
    assert sum(value for key, value in grown.items() if key[0] == "tok") == sent
    assert recorder.implicit.accounts[PERSONA].used - used == sent
    assert sum(record.counted.total for record in records if record.counted) == sent
    assert sum(value for key, value in grown.items() if key[0] == "llm") == len(records) == CALLS
    assert sum(record.outcome == "success" for record in records) == whole
