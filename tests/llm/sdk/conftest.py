"""What the tests of wrapped SDK calls share; they run in the SDKs' own environment."""

from __future__ import annotations

from typing import Any

import pytest

from hypertool.llm.calls import call
from hypertool.llm.record import CallRecord


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[CallRecord]:
    """Every record that is made."""
    made: list[CallRecord] = []
    true = call.make_record

    def listen(*arguments: Any) -> CallRecord:
        made.append(true(*arguments))
        return made[-1]

    monkeypatch.setattr(call, "make_record", listen)
    return made
