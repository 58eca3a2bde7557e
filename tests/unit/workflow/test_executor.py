"""The thread pool that carries the caller's context."""

from __future__ import annotations

import contextvars

import pytest

from hypertool import WorkflowExecutor

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def test_submit_and_map_see_the_callers_context_and_keep_their_own_changes() -> None:
    def change(value: str) -> str:
        before = NAME.get()
        NAME.set(value)
        return before

    NAME.set("caller")
    with WorkflowExecutor(1) as pool:
        assert pool.submit(change, "first").result() == "caller"
        assert list(pool.map(change, ["a", "b"])) == ["caller", "caller"]
    assert NAME.get() == "caller"


def test_arguments_results_and_errors_go_through_untouched() -> None:
    with WorkflowExecutor(max_workers=1, thread_name_prefix="mine") as pool:
        done = pool.submit(lambda *args, **kwargs: (args, kwargs), 1, fn=2, self=3)
        assert done.result() == ((1,), {"fn": 2, "self": 3})
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result()
