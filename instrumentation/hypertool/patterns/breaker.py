"""Circuit breaker: pybreaker decides; each call, refusal, trip and recovery is a step of its stage."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from .libraries import pybreaker
from .steps import Step, is_async, settled

if TYPE_CHECKING:
    from pybreaker import CircuitBreaker

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _cancellation(error: BaseException) -> bool:
    return not isinstance(error, Exception)


class Guard:
    """A pybreaker `CircuitBreaker` around functions, sync or async: `@Guard(breaker)`. One guard for one breaker.

    Steps: `<stage>.call` is a call that was let through, `<stage>.refused` one that was not (its gate fails),
    `<stage>.tripped` the opening of the circuit (fails) and `<stage>.recovered` its closing. Their spans have
    `breaker.name`, `breaker.state` and `breaker.failures`. Calls run side by side; while the circuit is half open only
    one does. A cancelled call is no failure, so a timeout belongs inside the guarded function, not around it.

    A refused call raises pybreaker's `CircuitBreakerError`.
    Raises ImportError without pybreaker (the extra `patterns`).
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._library = pybreaker()
        self._breaker = breaker
        self._lock = threading.Lock()
        self._trial = False
        breaker.add_excluded_exception(_cancellation)  # type: ignore[type-var,arg-type]  # it takes predicates too

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._breaker.current_state

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """The guarded function."""
        if is_async(function):

            @functools.wraps(function)
            async def later(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with self._admitted() as step:
                    result: Any = await cast("Awaitable[Any]", function(*args, **kwargs))
                    step.judge(result)
                    return result

            return later  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self._admitted() as step:
                result = settled(function(*args, **kwargs))
                step.judge(result)
                return result

        return call

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[Step]:
        inner, trial = self._enter()
        try:
            with Step("breaker", "call", self._attributes()) as step:
                yield step
        except BaseException as error:
            self._leave(inner, trial, error)
            raise
        self._leave(inner, trial, None)

    def _enter(self) -> tuple[Any, bool]:
        """Ask the breaker; returns its context manager, and whether this call is the trial of a half-open circuit."""
        # pybreaker holds a lock during each call, which would run threads one after the other; its context manager
        # does not, but lets every call through while half open.
        with self._lock:
            refusal: BaseException | None = None
            inner = self._breaker.calling()
            if self._trial:
                refusal = self._library.CircuitBreakerError("The circuit is half open, and its trial call is running")
            else:
                try:
                    inner.__enter__()
                except self._library.CircuitBreakerError as refused:
                    refusal = refused
            trial = refusal is None and self.state == self._library.STATE_HALF_OPEN
            self._trial = self._trial or trial
        if refusal is not None:
            with Step("breaker", "refused", self._attributes()):
                raise refusal
        return inner, trial

    def _leave(self, inner: Any, trial: bool, error: BaseException | None) -> None:
        """Tell the breaker how the call ended, and record where that changed its state."""
        before = after = ""
        try:
            with self._lock:
                before = self._library.STATE_HALF_OPEN if trial else self.state
                try:
                    inner.__exit__(*((None,) * 3 if error is None else (type(error), error, error.__traceback__)))
                finally:
                    if trial:
                        self._trial = False
                        if error is not None and not isinstance(error, Exception):
                            # pybreaker takes what is excluded for a success, which must not close the circuit.
                            self._breaker.open()
                    after = self.state
        finally:
            if after != before and after != self._library.STATE_HALF_OPEN:
                self._changed(after)

    def _changed(self, state: str) -> None:
        opened = state == self._library.STATE_OPEN
        with Step("breaker", "tripped" if opened else "recovered", self._attributes()) as step:
            step.set_quality_gate(not opened, f"opened after {self._breaker.fail_counter} failures" if opened else None)

    def _attributes(self) -> dict[str, Any]:
        breaker = self._breaker
        return {
            "breaker.name": breaker.name or "",
            "breaker.state": breaker.current_state,
            "breaker.failures": breaker.fail_counter,
        }
