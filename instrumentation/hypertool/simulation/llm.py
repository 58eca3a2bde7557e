"""A stand-in for a language model: answers after a fixed time and reports exactly the requested tokens.

It calls no service. The declared workflows use it, so that a new host has something real to measure.
"""

from __future__ import annotations

import time
from typing import TypedDict

from ..domain.workflows import SIMULATED_MODEL

SECONDS = 0.4


class Usage(TypedDict):
    """Tokens as the OpenAI API reports them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Reply(TypedDict):
    """What a call returns."""

    model: str
    text: str
    usage: Usage


class SimulatedLLM:
    """Called with a prompt and the tokens to use; takes `seconds` a call."""

    model = SIMULATED_MODEL

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds

    def __call__(self, prompt: str, tokens: int) -> Reply:
        """Answer `prompt`; a quarter of `tokens` is reported as input, the rest as output."""
        time.sleep(self.seconds)
        asked = tokens // 4
        return Reply(
            model=self.model,
            text=f"(simulated) done: {prompt}",
            usage=Usage(prompt_tokens=asked, completion_tokens=tokens - asked, total_tokens=tokens),
        )
