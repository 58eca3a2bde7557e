"""ObservableLLM and observe_llm: measure every call of an LLM function without changing its behaviour."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from .call import Caller, Setting
from .observed import FunctionShape, Observed
from .signatures import Callback, Decorator, Langfuse, P, R_co

if TYPE_CHECKING:
    from ...metrics.collector import PersonaMetricsCollector

T = TypeVar("T")


def make_caller(
    model: str | None,
    persona: str | None,
    chatmode: str | None,
    langfuse: Langfuse | bool | None,
    metrics: PersonaMetricsCollector | bool | None,
    provider: str | None,
) -> Caller:
    """What all calls of one wrapper share. Raises TypeError for a name that is not a string."""
    for name, value in (("model", model), ("persona", persona), ("chatmode", chatmode), ("provider", provider)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a string, not {value!r:.60}")
    collector = None if metrics is None or isinstance(metrics, bool) else metrics
    return Caller(Setting(model, provider, persona, chatmode, collector, metrics is not False, langfuse is not False))


class ObservableLLM(FunctionShape, Generic[P, R_co]):
    """An LLM function whose every call is counted, traced and kept within the persona's budget.

    Call it like the function, with `persona`, `chatmode`, `trace` and `metadata` as additional arguments. It returns
    the same results, raises the same exceptions, and is awaitable if the function is async. `model` is the label of
    its calls; None takes it from each call's arguments (`model`, `modelId`), else from the client that the function
    belongs to, else from the response. `langfuse=False` switches Langfuse off, `metrics=False` the metrics. `provider`
    is a `gen_ai.provider.name`; without it, the response's is used. `metadata["langfuse_prompt"]` links the call to a
    Langfuse prompt (its object, or a mapping with name and version). Raises ValueError for an unknown persona, and
    TokenBudgetExceeded if the persona's budget blocks, both before it calls the function.
    """

    def __init__(
        self,
        llm_function: Callable[P, R_co],
        model: str | None = None,
        langfuse: Langfuse | bool | None = None,
        metrics: PersonaMetricsCollector | bool | None = None,
        default_persona: str = "unknown",
        default_chatmode: str = "default",
        *,
        provider: str | None = None,
    ) -> None:
        self._observed = Observed(
            llm_function, make_caller(model, default_persona, default_chatmode, langfuse, metrics, provider)
        )
        self.model = model
        self._look_like(llm_function)

    def __reduce__(self) -> tuple[Any, ...]:
        """For `copy`, `pickle` and process pools: a copy calls its own copy of the function, with the same settings."""
        setting = self._observed.caller.setting
        own = {name: value for name, value in vars(self).items() if name not in _MADE_BY_INIT}
        metrics = setting.metrics or setting.counts
        arguments = (setting.model, setting.langfuse, metrics, setting.persona, setting.chatmode, setting.provider)
        return _made_again, (type(self), self.__wrapped__, *arguments), own

    if TYPE_CHECKING:
        __wrapped__: Callable[P, R_co]

        @property
        def __call__(self) -> Callback[P, R_co]: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            observed = self._observed
            return observed.run_async(args, kwargs) if observed.is_async else observed.run(args, kwargs)

    @overload
    def wrap_sync(self: ObservableLLM[P, Awaitable[T]], *args: Any, **kwargs: Any) -> T: ...
    @overload
    def wrap_sync(self, *args: Any, **kwargs: Any) -> R_co: ...

    def wrap_sync(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, sync or async, from sync code; this also works while an event loop is running."""
        result = self(*args, **kwargs)
        return _wait_for(result) if inspect.isawaitable(result) else result

    @overload
    async def wrap_async(self: ObservableLLM[P, Awaitable[T]], *args: Any, **kwargs: Any) -> T: ...
    @overload
    async def wrap_async(self, *args: Any, **kwargs: Any) -> R_co: ...

    async def wrap_async(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function from async code without blocking the event loop: a sync function runs in a thread."""
        if self._observed.is_async:
            return await self(*args, **kwargs)
        import asyncio

        return await asyncio.to_thread(self, *args, **kwargs)


_MADE_BY_INIT = frozenset(("_observed", "model", "__wrapped__", *functools.WRAPPER_ASSIGNMENTS))


def _made_again(
    kind: type[ObservableLLM[..., Any]],
    function: Callable[..., Any],
    model: str | None,
    langfuse: bool,
    metrics: PersonaMetricsCollector | bool,
    persona: str,
    chatmode: str,
    provider: str | None,
) -> ObservableLLM[..., Any]:
    # Not `kind(...)`: a subclass may take other arguments; its own attributes follow as the state.
    made = kind.__new__(kind)
    ObservableLLM.__init__(made, function, model, langfuse, metrics, persona, chatmode, provider=provider)
    return made


def _wait_for(awaitable: Any) -> Any:
    import asyncio  # a quarter of this package's import time, and needed only here

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    # This thread's loop is busy with the caller; another thread has a loop of its own.
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(wait()))
        except BaseException as error:  # raised again below, in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="hypertool-wrap-sync")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class _GeneratorFunction(FunctionShape):
    """A decorated generator function: measured from the call on, and still a generator function to `inspect`."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._look_like(observed.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._observed.run(args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str:
        """Pickled by name and copied as itself, as functions are."""
        return str(getattr(self, "__qualname__", self.__name__))


def observe_llm(
    model: str | None = None,
    persona: str | None = None,
    chatmode: str | None = None,
    langfuse: Langfuse | bool | None = None,
    metrics: PersonaMetricsCollector | bool | None = None,
    *,
    provider: str | None = None,
) -> Decorator:
    """Decorator for functions, methods, generators and callable objects; takes the arguments of ObservableLLM."""
    caller = make_caller(model, persona, chatmode, langfuse, metrics, provider)

    def decorate(function: Any) -> Any:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(decorate(function.__func__))
        observed = Observed(function, caller)
        if observed.generates is not None:
            return _GeneratorFunction(observed)
        if observed.is_async:

            @functools.wraps(function, updated=())
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                return await observed.run_async(args, kwargs)

            return call_async

        @functools.wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            return observed.run(args, kwargs)

        return call

    return decorate
