"""The Python in the README and in docs/llm-calls.md runs as it stands, against the examples' stand-in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hypertool_host import ROOT, Host

GUIDE = ROOT / "docs" / "llm-calls.md"
SERVE = "import stand_in, time; print(stand_in.start(), flush=True); time.sleep(600)"


@pytest.fixture
def provider() -> Iterator[str]:
    """The stand-in's URL."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=ROOT / "docs" / "examples", text=True, stdout=subprocess.PIPE
    ) as serving:
        assert serving.stdout is not None
        yield serving.stdout.readline().strip()
        serving.kill()


def section(text: str, heading: str) -> str:
    """Everything under a heading, up to the next one of its level."""
    return re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.M)[0]


def blocks(text: str) -> list[str]:
    """The Python blocks."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)


def run(host: Host, python: Path, code: str, url: str) -> None:
    program = host.home / "reader.py"
    program.write_text(code)
    done = host.start(
        [str(python), str(program)],
        120,
        {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{url}/v1",
            "NO_PROXY": "127.0.0.1",
            "HTTP_PROXY": "",
            "HTTPS_PROXY": "",
            "ALL_PROXY": "",
            "all_proxy": "",
            "http_proxy": "",
        },
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(1200)
def test_the_guide_runs_from_top_to_bottom(host: Host, sdk_python: Path, provider: str) -> None:
    found = blocks(GUIDE.read_text(encoding="utf-8"))
    assert len(found) >= 5
    run(host, sdk_python, "\n".join(found), provider)
    calls = host.counters("llm")
    assert {key[:2]: count for key, count in calls.items()} == {
        ("backend-engineer", "gpt-4o-mini"): 2,
        ("devops-engineer", "gpt-4o-mini"): 1,
        ("testing-specialist", "gpt-4o-mini"): 1,
        ("data-scientist", "house-model"): 1,
        ("unknown", "gpt-4o-mini"): 2,
    }
    assert host.counters("miss") == {}


@pytest.mark.timeout(1200)
def test_the_readmes_example_counts_what_it_says(host: Host, sdk_python: Path, provider: str) -> None:
    (code,) = blocks(section((ROOT / "README.md").read_text(encoding="utf-8"), "LLM calls"))
    assert len(code.splitlines()) <= 12
    run(host, sdk_python, code, provider)
    assert host.counters("tok") == {("backend-engineer", "bug-fix", "gpt-4o-mini"): 150}
    assert host.counters("llm") == {("backend-engineer", "gpt-4o-mini", "success"): 1}
    assert host.counters("usd") == {("backend-engineer", "gpt-4o-mini"): 33_000}
