"""The Python of docs/integrations.md runs as it stands, with the real SDKs and frameworks, on a stand-in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.llm.test_docs import blocks, run
from tests.llm.test_docs import provider as provider
from tests.support.hypertool_host import ROOT, Host

PAGE = ROOT / "docs" / "integrations.md"
# By model: OpenAI's client, LangChain, LangGraph, pydantic-ai, openai-agents; LiteLLM; Anthropic; two by hand.
CALLS = {"gpt-4o-mini": 5, "openai/gpt-4o-mini": 1, "claude-haiku-4-5": 1, "house-model": 2}


@pytest.mark.timeout(1200)
def test_integrations_page_runs_and_counts_each_call(
    tmp_path: Path, sdk_python: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every snippet runs after the one line, and every call in it is counted once with its usage."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setenv("HYPERTOOL_LISTEN", "127.0.0.1:0")
    host = Host(tmp_path)
    run(host, sdk_python, "\n".join(blocks(PAGE.read_text(encoding="utf-8"))), provider)
    found: dict[str, int] = {}
    for (_, model, outcome), count in host.counters("llm").items():
        assert outcome == "success"
        found[model] = found.get(model, 0) + count
    assert found == CALLS
    assert host.counters("miss") == {("reviewer", "house-model", "no_usage"): 1}


def test_snippets_that_need_an_account_are_whole() -> None:
    """What cannot run here (Google, Bedrock; their calls are in sdk/instrumented.py) is Python at least."""
    found = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert len(found) == 2
    for snippet in found:
        compile(snippet, str(PAGE), "exec")
