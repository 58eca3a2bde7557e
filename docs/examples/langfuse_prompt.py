"""Langfuse's prompt management: a prompt with variables, a fallback without a server, and the linked generation.

With LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST set, the prompt `reviewer` comes from that server.
"""

from __future__ import annotations

import os

import counted
import stand_in
from openai import OpenAI

from hypertool import LangfuseIntegration, ObservableLLM

client = OpenAI() if "OPENAI_API_KEY" in os.environ else OpenAI(api_key="none", base_url=f"{stand_in.start()}/v1")
llm = ObservableLLM(client.chat.completions.create, provider="openai", default_persona="testing-specialist")

prompt = LangfuseIntegration().prompt("reviewer", fallback="Review {{what}}.", what="the patch")
print(f"{prompt} (version {prompt.version}, fallback {prompt.is_fallback})")
answer = llm(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": prompt}],
    metadata={"langfuse_prompt": prompt},
)
print(answer.choices[0].message.content)

counted.show()
