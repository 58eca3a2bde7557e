"""The thread pool that carries the caller's context."""

from __future__ import annotations

import contextvars

import pytest

from hypertool import WorkflowExecutor

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def test_tasks_get_a_copy_of_the_context() -> None:
    """Tasks of submit and map see the caller's context and keep their changes to themselves."""

    def change(value: str) -> str:
        before = NAME.get()
        NAME.set(value)
        return before

    NAME.set("caller")
    with WorkflowExecutor(1) as pool:
        assert pool.submit(change, "first").result() == "caller"
        assert list(pool.map(change, ["a", "b"])) == ["caller", "caller"]
    assert NAME.get() == "caller"


def test_arguments_and_results_pass_through() -> None:
    """Arguments, results and errors pass through unchanged."""
    with WorkflowExecutor(max_workers=1, thread_name_prefix="mine") as pool:
        done = pool.submit(lambda *args, **kwargs: (args, kwargs), 1, fn=2, self=3)
        assert done.result() == ((1,), {"fn": 2, "self": 3})
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 // 0).result()
