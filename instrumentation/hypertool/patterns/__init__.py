"""Patterns of agent workflows, measured step by step: chains, retry, cache, router, fallback, breaker, memory.

Names load on first use; `retried` needs tenacity and `Guard` pybreaker (the extra `patterns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runtime.lazy_names import loader

_HOME = {
    "Entry": "memory",
    "Guard": "breaker",
    "Router": "routing",
    "SharedMemory": "memory",
    "Step": "steps",
    "Task": "chains",
    "cached": "cache",
    "fallback": "routing",
    "parallel": "chains",
    "parallel_async": "chains",
    "retried": "retry",
    "sequential": "chains",
    "sequential_async": "chains",
}

__all__ = [
    "Entry",
    "Guard",
    "Router",
    "SharedMemory",
    "Step",
    "Task",
    "cached",
    "fallback",
    "parallel",
    "parallel_async",
    "retried",
    "sequential",
    "sequential_async",
]

if TYPE_CHECKING:
    from .breaker import Guard as Guard
    from .cache import cached as cached
    from .chains import Task as Task
    from .chains import parallel as parallel
    from .chains import parallel_async as parallel_async
    from .chains import sequential as sequential
    from .chains import sequential_async as sequential_async
    from .memory import Entry as Entry
    from .memory import SharedMemory as SharedMemory
    from .retry import retried as retried
    from .routing import Router as Router
    from .routing import fallback as fallback
    from .steps import Step as Step


__getattr__ = loader(__name__, _HOME)
