"""Wrapping a client's method, and what must have been recorded of it."""

from __future__ import annotations

import gc
from typing import Any

from hypertool import ObservableLLM
from hypertool.llm.record import CallRecord


def ours(method: Any) -> Any:
    """The method, observed."""
    return ObservableLLM(method, "m", metrics=False)


def once(records: list[CallRecord], total: int | None, outcome: str = "success") -> None:
    """One call was recorded, with that many tokens (None: not known)."""
    gc.collect()
    assert [(r.outcome, r.counted.total if r.counted else None) for r in records] == [(outcome, total)]
