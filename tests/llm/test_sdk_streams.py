"""What the real SDKs' streams and managers do when they are wrapped, in the SDKs' own environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.llm.test_conformance import _run


@pytest.mark.timeout(1200)
def test_streams_and_managers_of_the_real_sdks_are_counted_once_and_keep_their_methods(sdk_python: Path) -> None:
    done = _run(sdk_python, "wrapped.py")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
