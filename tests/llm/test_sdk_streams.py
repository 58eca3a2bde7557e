"""What the real SDKs' streams and managers do when they are wrapped, in the SDKs' own environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.llm.test_conformance import _run

FILES = (
    "wrapped.py",
    "wrapped_others.py",
    "wrapped_raw.py",
    "instrumented.py",
    "totals.py",
    "words.py",
    "prices.py",
    "langfuse_prompts.py",
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("file", FILES)
def test_real_sdks_calls_are_counted_once(sdk_python: Path, file: str) -> None:
    """Calls of the real SDKs are counted once, and what they return keeps its type."""
    done = _run(sdk_python, file)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
