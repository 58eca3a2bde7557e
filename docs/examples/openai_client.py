"""A bare OpenAI-style client: the call as it was, whole and streamed, in the stages of a workflow, within a budget.

Set OPENAI_API_KEY (and OPENAI_BASE_URL) for a real provider; without it a stand-in on loopback answers.
"""

from __future__ import annotations

import os

import counted
import stand_in
from openai import OpenAI

from hypertool import ObservableLLM, TokenBudgetExceeded, WorkflowTracer

MODEL = "gpt-4o-mini"
ASK = [{"role": "user", "content": "Design the API of a shop."}]

client = OpenAI() if "OPENAI_API_KEY" in os.environ else OpenAI(api_key="none", base_url=f"{stand_in.start()}/v1")
llm = ObservableLLM(client.chat.completions.create, MODEL, provider="openai")

with WorkflowTracer("feature_implementation") as workflow:
    # The stage gives the persona and chatmode of every call in it.
    with workflow.stage_context("api_design", "backend-engineer"):
        answer = llm(model=MODEL, messages=ASK, max_tokens=200)
        print("whole:   ", answer.choices[0].message.content)

    with workflow.stage_context("frontend_components", "frontend-engineer"):
        stream = llm(model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True})
        print("streamed:", "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
        # Without include_usage OpenAI says nothing of usage: counted as unknown, and never as zero.
        for _ in llm(model=MODEL, messages=ASK, stream=True):
            pass

    # hypertool.toml beside this file gives this persona 200 tokens and says `block`: the next call is not made.
    with workflow.stage_context("testing_validation", "testing-specialist") as stage:
        try:
            for _ in range(3):
                llm(model=MODEL, messages=ASK, max_tokens=50)
        except TokenBudgetExceeded as refused:
            print("blocked: ", refused)
            stage.set_quality_gate(False, "the budget is spent")

counted.show()
