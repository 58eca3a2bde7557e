"""Retry with backoff: tenacity decides when and how often; each attempt is a step of its stage."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..errors import TokenBudgetExceeded
from .libraries import tenacity
from .steps import Step, is_async, settled

if TYPE_CHECKING:
    from tenacity import BaseRetrying

_P = ParamSpec("_P")
_R = TypeVar("_R")

ATTEMPTS = 3
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


def retried(**options: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """`@retried(stop=stop_after_attempt(5), wait=wait_fixed(1))`: call again after a failure, sync or async.

    `options` are tenacity's. Left out, there are at most 3 attempts with growing, random waits (first up to 0.5 s, at
    most 30 s), any `Exception` is retried except `TokenBudgetExceeded`, and the last one is raised as it is. A
    cancellation is never retried. Each attempt is the step `<stage>.attempt`: the gate of a failed one fails, and what
    it used is the persona's. The span has `retry.attempt` (from 1).

    Raises ImportError without tenacity (the extra `patterns`).
    """
    library = tenacity()
    chosen: dict[str, Any] = {
        "stop": library.stop_after_attempt(ATTEMPTS),
        "wait": library.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        "retry": library.retry_if_exception(_worth_another),
        "reraise": True,
        **options,
    }

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        asynchronous = is_async(function)
        policy = library.AsyncRetrying(**chosen) if asynchronous else library.Retrying(**chosen)
        return _async(policy, function) if asynchronous else _sync(policy, function)

    return decorate


def _worth_another(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, TokenBudgetExceeded)


def _sync(policy: BaseRetrying, function: Callable[_P, _R]) -> Callable[_P, _R]:
    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        numbers = itertools.count(1)

        def attempt() -> _R:
            with Step("retry", "attempt", {"retry.attempt": next(numbers)}) as step:
                result = settled(function(*args, **kwargs))
                step.judge(result)
                return result

        return policy.copy()(attempt)

    return call


def _async(policy: BaseRetrying, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        numbers = itertools.count(1)

        async def attempt() -> Any:
            with Step("retry", "attempt", {"retry.attempt": next(numbers)}) as step:
                result = await function(*args, **kwargs)
                step.judge(result)
                return result

        return await policy.copy()(attempt)

    return call
