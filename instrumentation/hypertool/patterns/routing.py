"""Router and fallback: the route that was taken, and each alternative that was tried, are steps of their stage."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .steps import Step, is_async, settled


class Router:
    """`Router(classify, {"simple": answer, "hard": escalate})`: calls `classify`, then the route that it names.

    `classify` may ask an LLM, at the expense of the stage's persona; it is the step `<stage>.route`, with `route.name`.
    The route is the step `<stage>.<name>`. Where a function is async, calling the router gives an awaitable. An unknown
    name takes the route `default`; without one it is a ValueError, and the gate of the step `route` fails.
    """

    def __init__(
        self, classify: Callable[..., Any], routes: Mapping[str, Callable[..., Any]], default: str | None = None
    ) -> None:
        if not routes:
            raise ValueError("a router needs at least one route")
        if default is not None and default not in routes:
            raise ValueError(f"the default route {default!r:.120} is not a route; there are {', '.join(routes)}")
        self._classify = classify
        self._routes = dict(routes)
        self._default = default
        self._async = any(map(is_async, (classify, *routes.values())))

    def decide(self, *args: Any, **kwargs: Any) -> Any:
        """The name of the route, without taking it; awaitable for an async `classify`."""
        if is_async(self._classify):
            return self._decide_async(args, kwargs)
        with Step("router", "route") as step:
            return self._resolve(step, settled(self._classify(*args, **kwargs)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decide, take the route with the same arguments, and return its result."""
        if self._async:
            return self._call_async(args, kwargs)
        name = self.decide(*args, **kwargs)
        with Step("router", name, {"route.name": name}) as step:
            return _judged(step, settled(self._routes[name](*args, **kwargs)))

    async def _decide_async(self, args: Any, kwargs: Any) -> str:
        with Step("router", "route") as step:
            return self._resolve(step, await self._classify(*args, **kwargs))

    async def _call_async(self, args: Any, kwargs: Any) -> Any:
        name = await _settled(self.decide(*args, **kwargs))
        with Step("router", name, {"route.name": name}) as step:
            return _judged(step, await _settled(self._routes[name](*args, **kwargs)))

    def _resolve(self, step: Step, name: Any) -> str:
        taken = name if isinstance(name, str) and name in self._routes else self._default
        if taken is None:
            raise ValueError(f"there is no route {name!r:.120}, and no default; there are {', '.join(self._routes)}")
        step.set_attributes({"route.name": taken, "route.default": taken != name})
        return taken


def fallback(**alternatives: Callable[..., Any]) -> Callable[..., Any]:
    """`fallback(primary=ask, cheaper=ask_small, canned=apologise)`: a function that tries them in this order.

    The next one is tried after an `Exception` (also a budget that blocks, or a circuit that is open) and after a result
    whose verdict is negative; the last one's result or exception is the caller's, a cancellation always is. Each is the
    step `<stage>.<name>` with `fallback.position` (from 0). Async if one of them is.
    """
    if not alternatives:
        raise ValueError("fallback() needs at least one alternative, by name: fallback(primary=..., other=...)")
    attempts = [
        (_Attempt(name, position, last=position == len(alternatives) - 1), function)
        for position, (name, function) in enumerate(alternatives.items())
    ]
    first = next(iter(alternatives.values()))

    @functools.wraps(first)
    def call(*args: Any, **kwargs: Any) -> Any:
        for attempt, function in attempts:
            with attempt.step() as step:
                result = settled(function(*args, **kwargs))
                if attempt.settles(step, result):
                    return result
        raise AssertionError("unreachable: the last alternative returns or raises")

    @functools.wraps(first)
    async def later(*args: Any, **kwargs: Any) -> Any:
        for attempt, function in attempts:
            with attempt.step() as step:
                result = await _settled(function(*args, **kwargs))
                if attempt.settles(step, result):
                    return result
        raise AssertionError("unreachable: the last alternative returns or raises")

    return later if any(map(is_async, alternatives.values())) else call


class _Attempt(NamedTuple):
    """One alternative of a fallback; only the last one's exception reaches the caller."""

    name: str
    position: int
    last: bool

    @contextlib.contextmanager
    def step(self) -> Iterator[Step]:
        suppressed = () if self.last else (Exception,)
        with (
            contextlib.suppress(*suppressed),
            Step("fallback", self.name, {"fallback.position": self.position}) as step,
        ):
            yield step

    def settles(self, step: Step, result: Any) -> bool:
        """Judge the result; False if the next alternative is to be tried."""
        return step.judge(result) or self.last


def _judged(step: Step, result: Any) -> Any:
    step.judge(result)
    return result


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
