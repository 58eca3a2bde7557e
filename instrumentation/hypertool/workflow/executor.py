"""A thread pool whose tasks inherit run, stage, persona, chatmode and span from the code that submits them."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class WorkflowExecutor(ThreadPoolExecutor):
    """`ThreadPoolExecutor`, except that tasks run in a copy of the caller's context.

    A task's changes to its context stay in that copy; a plain `ThreadPoolExecutor` starts with an empty context.
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Run `fn(*args, **kwargs)` in a thread, in a copy of the caller's context."""
        work: Callable[[], _T] = functools.partial(fn, *args, **kwargs)
        return super().submit(contextvars.copy_context().run, work)
