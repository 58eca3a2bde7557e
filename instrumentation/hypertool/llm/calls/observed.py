"""One observed function: its kind (sync, async, generator), and which arguments are ours, the prompt and the model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import CodeType, MethodType
from typing import Any, cast

from ...runtime.settings import disabled
from ..describing.metadata import for_function
from . import crews
from .call import Call, Caller
from .results import ObservedAsyncGenerator, ObservedGenerator, awaited, handler_of, handlers

_OURS = frozenset(("persona", "chatmode", "trace", "metadata"))
_PROMPTS = ("prompt", "messages", "input", "contents", "inputs", "body")
# The attribute under which a patched method keeps its patch: see `instrumenting.patched`.
PATCH = "__hypertool_patch__"
_MODELS = ("model", "modelId", "model_id", "model_name")


class _Switch:
    """HYPERTOOL_DISABLED, read only at the process's first call: one read costs as much as a call is allowed to."""

    def __init__(self) -> None:
        self.off: bool | None = None

    def decide(self) -> bool:
        """Read the variable."""
        self.off = disabled()
        return self.off


switch = _Switch()


class Observed:
    """One function and how to call it: its kind, which of our arguments it takes itself, where its prompt is."""

    def __init__(self, function: Callable[..., Any], caller: Caller) -> None:
        if not callable(function):
            raise TypeError(f"an LLM function must be callable, not {type(function).__name__} ({function!r:.60})")
        function = unpatched(function)
        self.function = crews.measured(function)
        self.caller = caller
        code = getattr(function, "__code__", None)
        place = code.co_firstlineno if code is not None else type(function).__qualname__
        caller.work = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}:{place}"
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
        except (TypeError, ValueError):  # some functions written in C have no signature
            parameters = []
        self.wants = frozenset(p.name for p in parameters) & _OURS
        names = [p.name for p in parameters]
        self.place = next(
            (names.index(name) for name in _PROMPTS if name in names), 1 if names[:1] in (["self"], ["cls"]) else 0
        )
        self._model_place = next((names.index(name) for name in _MODELS if name in names), None)
        self._asks_model = caller.setting.model is None
        self._own_model = model_of_object(getattr(function, "__self__", function)) if self._asks_model else None

    def strip(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments that belong to the function."""
        return for_function({key: value for key, value in kwargs.items() if key not in _OURS or key in self.wants})

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, dict[str, Any]]:
        """A call, not yet started, and the function's own keyword arguments."""
        persona = chatmode = trace = metadata = None
        if kwargs:
            persona, chatmode = kwargs.get("persona"), kwargs.get("chatmode")
            trace, metadata = kwargs.get("trace"), kwargs.get("metadata")
            if metadata is not None and not isinstance(metadata, Mapping):
                if "metadata" not in self.wants:
                    raise TypeError(f"metadata must be a mapping, not {type(metadata).__name__} ({metadata!r:.60})")
                metadata = None
            if not (persona is chatmode is trace is metadata is None) or not _OURS.isdisjoint(kwargs):
                kwargs = self.strip(kwargs)
        prompt = args[self.place] if len(args) > self.place else None
        if prompt is None and kwargs:
            prompt = named_prompt(kwargs)
        model = self.model(args, kwargs) if self._asks_model else None
        return self.caller.call(persona, chatmode, prompt, kwargs, trace, metadata, model), kwargs

    def model(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """The model named in a call's arguments, else the model of the client that the function belongs to."""
        for name in _MODELS:
            named = kwargs.get(name)
            if isinstance(named, str) and named:
                return named
        place = self._model_place
        if place is not None and place < len(args) and isinstance(args[place], str):
            return str(args[place]) or None
        return self._own_model

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function that is not async."""
        if switch.off or (switch.off is None and switch.decide()):
            return self.function(*args, **self.strip(kwargs)) if kwargs else self.function(*args)
        if kwargs or self._asks_model:
            call, kwargs = self.call(args, kwargs)
        else:  # what `self.call` does for a prompt alone
            call = self.caller.call(None, None, args[self.place] if len(args) > self.place else None, kwargs)
        if self.generates is not None:
            call.remember_place()
            return self.generates(self.function(*args, **kwargs), call)
        call.start()
        call.enter()
        try:
            result = self.function(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        call.leave()
        kind = type(result)
        return (handlers.get(kind) or handler_of(kind))(call, result)

    async def run_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an async function."""
        if switch.off or (switch.off is None and switch.decide()):
            return await self.function(*args, **self.strip(kwargs))
        call, kwargs = self.call(args, kwargs)
        call.start()
        try:
            awaitable = self.function(*args, **kwargs)
        except BaseException as error:  # wrong arguments raise before there is anything to await
            call.finish(None, error)
            raise
        return await awaited(call, awaitable)


def named_prompt(kwargs: Mapping[str, Any]) -> Any:
    """The prompt among keyword arguments, or None."""
    for name in _PROMPTS:
        if name in kwargs:
            return kwargs[name]
    return None


def unpatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """The SDK's own function if `instrument()` has patched it: the wrapper around it already counts."""
    patch = getattr(function, PATCH, None)
    # functools.wraps copies the attribute to other wrappers around a patched method.
    if patch is None or patch.replacement is not getattr(function, "__func__", function):
        return function
    original: Callable[..., Any] = patch.function
    return MethodType(original, function.__self__) if inspect.ismethod(function) else original


def model_of_object(owner: Any) -> str | None:
    """The model that a client object is set to (LangChain: `model_name` or `model`), or None."""
    for name in ("model_name", "model", "model_id"):
        try:
            found = getattr(owner, name, None)
        except Exception:  # a foreign property may raise anything
            continue
        if isinstance(found, str) and found:
            return found
    return None


async def _coroutine() -> None: ...


def _generator() -> Iterator[None]:
    yield


async def _async_generator() -> AsyncIterator[None]:
    yield


class FunctionShape:
    """Makes `inspect` see a callable object as the kind of function that it observes.

    `inspect.iscoroutinefunction`, `isgeneratorfunction` and `isasyncgenfunction` read the flags of `__code__` from any
    object with a function's attributes. Frameworks (Starlette, LangChain) use them to decide how to call it.
    """

    _observed: Observed
    __name__: str
    __defaults__ = None
    __kwdefaults__ = None

    def _look_like(self, function: Callable[..., Any]) -> None:
        """Copy the name, documentation and signature of `function`."""
        self.__name__ = type(function).__name__  # objects and partials have no name
        functools.update_wrapper(cast("Callable[..., Any]", self), function, updated=())

    @property
    def __code__(self) -> CodeType:
        observed = self._observed
        if observed.is_async:
            return _coroutine.__code__
        if observed.generates is ObservedGenerator:
            return _generator.__code__
        if observed.generates is ObservedAsyncGenerator:
            return _async_generator.__code__
        raise AttributeError("__code__")
