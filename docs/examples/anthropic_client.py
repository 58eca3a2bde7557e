"""An Anthropic-style client, async: two personas at the same time, one of them streaming through the SDK's manager.

Set ANTHROPIC_API_KEY for a real provider; without it a stand-in on loopback answers.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import counted
import stand_in
from anthropic import AsyncAnthropic

import hypertool
from hypertool import ObservableLLM

MODEL = "claude-haiku-4-5"
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": "Why is it slow?"}]}


async def main() -> None:
    """Both at once; neither's tokens are the other's."""
    own = "ANTHROPIC_API_KEY" in os.environ
    client = AsyncAnthropic() if own else AsyncAnthropic(api_key="none", base_url=stand_in.start())
    create = ObservableLLM(client.messages.create, MODEL, provider="anthropic")
    stream = ObservableLLM(client.messages.stream, MODEL, provider="anthropic")

    async def investigate() -> None:
        with hypertool.context(persona="observability-expert", chatmode="bug-investigation"):
            answer = await create(**ASK)
            print("whole:   ", answer.content[0].text)

    async def fix() -> None:
        with hypertool.context(persona="backend-engineer", chatmode="bug-fix"):
            async with stream(**ASK) as running:
                print("streamed:", "".join([text async for text in running.text_stream]))

    await asyncio.gather(investigate(), fix())


asyncio.run(main())
counted.show()
