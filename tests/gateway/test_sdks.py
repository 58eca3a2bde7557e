"""The providers' own SDKs through the gateway: they see what they would see without it, and each call counts once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypertool.domain.instruments import AGENT_CALLS, LLM_REQUESTS, TOKENS
from tests.agents.ledgers import counted
from tests.gateway.conftest import Start
from tests.llm.conftest import sdk_python as sdk_python
from tests.support.fake_models import FakeModels

SCRIPT = Path(__file__).with_name("sdk_calls.py")


def calls(python: Path, url: str, what: str) -> list[list[Any]]:
    command = [str(python), str(SCRIPT), url, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_sdks_count_to_the_token(sdk_python: Path, start: Start) -> None:
    """Metrics, budget and the SDKs' own figures agree; the credentials reach the provider."""
    with FakeModels() as models:
        gateway = start(models.url)
        told = calls(sdk_python, gateway.url, "calls")
        gateway.end()
        assert len(told) == len(models.served) == 7
    assert all(total for _, total in told)
    assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key) == sum(total for _, total in told)
    assert counted(AGENT_CALLS.key) == 7


def test_sdks_raise_at_a_budget(
    sdk_python: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each SDK raises its own error with the message, after one request: 402 is retried by none."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\ntokens = 1000\nwindow = "day"\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    with FakeModels() as models:
        gateway = start(models.url)
        gateway.post("/p/backend/openai/v1/chat/completions")
        told = calls(sdk_python, gateway.url, "refused")
        gateway.end()
        assert len(models.served) == 1
    message = "Hypertool: the token budget of backend-e"
    assert told == [[f"{provider} {message}", 402] for provider in ("anthropic", "openai", "gemini")]
    assert sum(counted(LLM_REQUESTS.key, "backend-engineer", model, "blocked") for model in ("m", "gpt-4.1")) == 3
