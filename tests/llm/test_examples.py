"""The worked examples run as a reader would run them, with the real SDKs, and count what their stand-in reports."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.hypertool_host import ROOT, Host

EXAMPLES = ROOT / "docs" / "examples"
GPT, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
# Worked out from the stand-in's usage and the vendors' prices, in nano-dollars a call:
# 80 fresh x 0.15 + 40 cached x 0.075 + 30 out x 0.60; and 70 x 1 + 40 x 0.10 + 10 written x 1.25 + 30 x 5.
GPT_COST, CLAUDE_COST = 33_000, 236_500


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in os.environ.keys() & {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}:  # with one, a real provider is called
        monkeypatch.delenv(name)
    return Host(tmp_path)


def run(host: Host, python: Path, name: str) -> str:
    """The example's output; it must say nothing else."""
    proxies = {key: "" for key in os.environ if key.upper().endswith("_PROXY")}
    done = host.start(
        [str(python), str(EXAMPLES / f"{name}.py")],
        120,
        {
            **proxies,
            "NO_PROXY": "127.0.0.1",
            "HYPERTOOL_CONFIG": str(EXAMPLES / "hypertool.toml"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.timeout(1200)
def test_openai_whole_streamed_and_blocked(host: Host, sdk_python: Path) -> None:
    """OpenAI: a whole response, a stream, one without usage, and a blocked call."""
    said = run(host, sdk_python, "openai_client")
    mode = "feature-implementation"
    assert host.counters("tok") == {
        ("backend-engineer", mode, GPT): 150,
        ("frontend-engineer", mode, GPT): 150,
        ("testing-specialist", mode, GPT): 300,
    }
    assert host.counters("llm") == {
        ("backend-engineer", GPT, "success"): 1,
        ("frontend-engineer", GPT, "success"): 2,
        ("testing-specialist", GPT, "success"): 2,
        ("testing-specialist", GPT, "blocked"): 1,
    }
    assert host.counters("miss") == {("frontend-engineer", GPT, "no_usage"): 1}
    assert host.counters("usd") == {
        ("backend-engineer", GPT): GPT_COST,
        ("frontend-engineer", GPT): GPT_COST,
        ("testing-specialist", GPT): 2 * GPT_COST,
    }
    assert host.counters("qg")["feature_implementation", "testing_validation", "fail"] == 1
    assert host.read().budgets["testing-specialist"].remaining == -100
    assert said.count("These words come from the stand-in.") == 2
    assert "blocked:  the token budget of testing-specialist" in said
    assert "150 tokens                  backend-engineer feature-implementation gpt-4o-mini" in said


@pytest.mark.timeout(1200)
def test_anthropic_two_personas_at_once(host: Host, sdk_python: Path) -> None:
    said = run(host, sdk_python, "anthropic_client")
    assert host.counters("tok") == {
        ("observability-expert", "bug-investigation", CLAUDE): 150,
        ("backend-engineer", "bug-fix", CLAUDE): 150,
    }
    assert host.counters("usd") == {
        ("observability-expert", CLAUDE): CLAUDE_COST,
        ("backend-engineer", CLAUDE): CLAUDE_COST,
    }
    assert said.count("These words come from the stand-in.") == 2


@pytest.mark.timeout(1200)
def test_langchain_whole_streamed_and_in_a_chain(host: Host, sdk_python: Path) -> None:
    said = run(host, sdk_python, "langchain_model")
    personas = ("backend-engineer", "frontend-engineer", "testing-specialist")
    assert host.counters("tok") == {(persona, "feature-implementation", GPT): 150 for persona in personas}
    assert host.counters("llm") == {(persona, GPT, "success"): 1 for persona in personas}
    assert host.counters("usd") == {(persona, GPT): GPT_COST for persona in personas}
    assert said.count("These words come from the stand-in.") == 3


@pytest.mark.timeout(1200)
def test_langfuse_prompt_falls_back_without_a_server(host: Host, sdk_python: Path) -> None:
    """The example runs without an account: the fallback is used, and the call is counted."""
    host.variables.update(LANGFUSE_PUBLIC_KEY="", LANGFUSE_SECRET_KEY="")
    done = host.start([str(sdk_python), str(EXAMPLES / "langfuse_prompt.py")], 120, {"NO_PROXY": "127.0.0.1"})
    assert done.returncode == 0, done.stderr
    assert "Review the patch. (version None, fallback True)" in done.stdout
    assert host.counters("tok") == {("testing-specialist", "default", GPT): 150}


def test_every_example_is_in_the_readme_of_its_folder() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = {path.name for path in EXAMPLES.iterdir() if path.is_file()} - {"README.md"}
    assert {name for name in programs if name not in text} == set()
