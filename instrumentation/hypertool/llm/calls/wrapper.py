"""ObservableLLM and observe_llm: an LLM function as it was, with every call measured."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ...runtime.settings import disabled
from ..describing.metadata import for_function
from .call import Call, Caller, Setting
from .results import ObservedAsyncGenerator, ObservedGenerator, awaited, deliver

if TYPE_CHECKING:
    from ...metrics.collector import PersonaMetricsCollector

_F = TypeVar("_F", bound=Callable[..., Any])
_OURS = ("persona", "chatmode", "trace", "metadata")
_PROMPTS = ("prompt", "messages", "input", "contents", "inputs", "body")


class Langfuse(Protocol):
    """What may be given as `langfuse`: a `LangfuseIntegration`, which is on a floor above this one."""

    def flush(self) -> bool:
        """Send what is waiting."""


class _Switch:
    """HYPERTOOL_DISABLED, read at the first call of the process: reading it costs as much as a call may."""

    def __init__(self) -> None:
        self.off: bool | None = None

    def decide(self) -> bool:
        """Read it."""
        self.off = disabled()
        return self.off


switch = _Switch()


class Observed:
    """One function and how it is called: what it is, which of our arguments it wants, where its prompt is."""

    def __init__(self, function: Callable[..., Any], caller: Caller) -> None:
        if not callable(function):
            raise TypeError(f"an LLM function must be callable, not {type(function).__name__} ({function!r:.60})")
        self.function = function
        self.caller = caller
        call = (
            type(function).__call__
            if not inspect.isroutine(function) and not isinstance(function, functools.partial)
            else function
        )
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        self.generates: Any = None
        if inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(call):
            self.generates = ObservedGenerator
        elif inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(call):
            self.generates = ObservedAsyncGenerator
        try:
            parameters = [
                p
                for p in inspect.signature(function).parameters.values()
                if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            ]
        except (TypeError, ValueError):  # some functions in C have none
            parameters = []
        self.wants = frozenset(p.name for p in parameters) & frozenset(_OURS)
        names = [p.name for p in parameters]
        self._place = next(
            (names.index(name) for name in _PROMPTS if name in names), 1 if names[:1] in (["self"], ["cls"]) else 0
        )

    def strip(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments that are the function's."""
        return for_function({key: value for key, value in kwargs.items() if key not in _OURS or key in self.wants})

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, dict[str, Any]]:
        """A call that has not begun, and the function's own keyword arguments."""
        persona = chatmode = trace = metadata = None
        if kwargs:
            persona, chatmode = kwargs.get("persona"), kwargs.get("chatmode")
            trace, metadata = kwargs.get("trace"), kwargs.get("metadata")
            if metadata is not None and not isinstance(metadata, Mapping):
                if "metadata" not in self.wants:
                    raise TypeError(f"metadata must be a mapping, not {type(metadata).__name__} ({metadata!r:.60})")
                metadata = None
            if not (persona is chatmode is trace is metadata is None) or any(key in kwargs for key in _OURS):
                kwargs = self.strip(kwargs)
        prompt = args[self._place] if len(args) > self._place else None
        if prompt is None and kwargs:
            prompt = next((kwargs[name] for name in _PROMPTS if name in kwargs), None)
        return self.caller.call(persona, chatmode, prompt, kwargs, trace, metadata), kwargs

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function that is not async."""
        if switch.off or (switch.off is None and switch.decide()):
            return self.function(*args, **self.strip(kwargs)) if kwargs else self.function(*args)
        call, kwargs = self.call(args, kwargs)
        if self.generates is not None:
            call.remember_place()
            return self.generates(self.function(*args, **kwargs), call)
        call.start()
        call.enter()
        try:
            result = self.function(*args, **kwargs)
        except BaseException as error:
            call.leave()
            call.finish(None, error)
            raise
        call.leave()
        return deliver(call, result)

    async def run_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an async function."""
        if switch.off or (switch.off is None and switch.decide()):
            return await self.function(*args, **self.strip(kwargs))
        call, kwargs = self.call(args, kwargs)
        call.start()
        return await awaited(call, self.function(*args, **kwargs))


def _caller(
    model: str,
    persona: str | None,
    chatmode: str | None,
    langfuse: Langfuse | bool | None,
    metrics: PersonaMetricsCollector | bool | None,
    provider: str | None,
) -> Caller:
    for name, value in (("model", model), ("persona", persona), ("chatmode", chatmode), ("provider", provider)):
        if not isinstance(value, str) and (value is not None or name == "model"):
            raise TypeError(f"{name} must be a string, not {value!r:.60}")
    collector = None if metrics is None or isinstance(metrics, bool) else metrics
    return Caller(Setting(model, provider, persona, chatmode, collector, metrics is not False, langfuse is not False))


class ObservableLLM:
    """An LLM function whose every call is counted, traced and kept within the persona's budget.

    Called as the function is, plus `persona`, `chatmode`, `trace` and `metadata`; awaitable where it is async, and
    with the same results and exceptions. `langfuse=False` or `metrics=False` switches one off. `provider` is a
    `gen_ai.provider.name`; without it the response tells. `metadata["langfuse_prompt"]` links the call to a prompt of
    Langfuse's (its object, or a mapping of name and version). Raises ValueError for an unknown persona and
    TokenBudgetExceeded where its budget blocks, both before the function is called.
    """

    def __init__(
        self,
        llm_function: Callable[..., Any],
        model: str,
        langfuse: Langfuse | bool | None = None,
        metrics: PersonaMetricsCollector | bool | None = None,
        default_persona: str = "unknown",
        default_chatmode: str = "default",
        *,
        provider: str | None = None,
    ) -> None:
        self._observed = Observed(
            llm_function, _caller(model, default_persona, default_chatmode, langfuse, metrics, provider)
        )
        self.model = model
        functools.update_wrapper(self, llm_function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        observed = self._observed
        return observed.run_async(args, kwargs) if observed.is_async else observed.run(args, kwargs)

    def wrap_sync(self, *args: Any, **kwargs: Any) -> Any:
        """Call it from code that is not async, whatever the function is; also where an event loop is running."""
        result = self(*args, **kwargs)
        return _wait_for(result) if inspect.isawaitable(result) else result

    async def wrap_async(self, *args: Any, **kwargs: Any) -> Any:
        """Call it from async code without holding up the event loop: a sync function runs in a thread."""
        if self._observed.is_async:
            return await self(*args, **kwargs)
        return await asyncio.to_thread(self, *args, **kwargs)


def _wait_for(awaitable: Any) -> Any:
    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    # This thread's loop is busy with whoever called; another thread has a loop of its own.
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


def observe_llm(
    model: str,
    persona: str | None = None,
    chatmode: str | None = None,
    langfuse: Langfuse | bool | None = None,
    metrics: PersonaMetricsCollector | bool | None = None,
    *,
    provider: str | None = None,
) -> Callable[[_F], _F]:
    """Decorator for functions, methods, generators and callable objects; the arguments are those of ObservableLLM."""
    caller = _caller(model, persona, chatmode, langfuse, metrics, provider)

    def decorate(function: _F) -> _F:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(decorate(function.__func__))
        observed = Observed(function, caller)
        if observed.is_async:

            @functools.wraps(function, updated=())
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                return await observed.run_async(args, kwargs)

            return call_async  # type: ignore[return-value]  # the same signature, by functools.wraps

        @functools.wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            return observed.run(args, kwargs)

        return call  # type: ignore[return-value]

    return decorate
