"""Measures results that are not plain values to their end: awaitables, generators, SDK streams.

The list is closed: any other object is returned unchanged, even if it looks like a stream.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ..reading.classes import base_named
from ..reading.extract import extract
from .call import Call
from .framework_streams import FRAMEWORKS
from .raw_responses import RAW, observed_raw_manager, unread, watch
from .sdk_streams import SDK_STREAMS, Measure, observed_manager, observed_stream

_BEDROCK = ("stream", "body")


def deliver(call: Call, result: Any) -> Any:
    """What the function's caller gets in place of `result`: the same object, or one that measures it."""
    kind = type(result)
    return (handlers.get(kind) or handler_of(kind))(call, result)


def _plain(call: Call, result: Any) -> Any:
    call.finish(extract(result), output=result)
    return result


def _dict(call: Call, result: Any) -> Any:
    if "stream" in result or "body" in result:
        for key in _BEDROCK:
            part = result.get(key)
            if part is not None and base_named(type(part), SDK_STREAMS):
                result[key] = observed_stream(part, Measure(call))
                return result
    call.finish(extract(result), output=result)
    return result


def _stream(call: Call, result: Any) -> Any:
    return observed_stream(result, Measure(call))


def _litellm(call: Call, result: Any) -> Any:
    """LiteLLM estimates a usage that the provider did not report; the chunks that it keeps show which it was."""
    measure, kept = Measure(call), getattr(result, "chunks", None)
    if kept is not None:
        measure.told = lambda: any(getattr(chunk, "usage", None) is not None for chunk in result.chunks)
    return observed_stream(result, measure)


def _raw(call: Call, result: Any) -> Any:
    http = unread(result)
    if http is None:
        return _plain(call, result)
    watch(http, Measure(call))
    return result


async def _coroutine(call: Call, result: Any) -> Any:
    return await awaited(call, result)


def _future(call: Call, result: Any) -> Any:
    def ended(future: Any) -> None:
        if future.cancelled():
            import asyncio  # already loaded: the future comes from it

            call.finish(None, asyncio.CancelledError())
        elif future.exception() is not None:
            call.finish(None, future.exception())
        else:
            call.finish(extract(future.result()), output=future.result())

    result.add_done_callback(ended)
    return result


async def awaited(call: Call, awaitable: Any) -> Any:
    """Await the result, and measure it."""
    call.enter()
    try:
        result = await awaitable
    except BaseException as error:
        call.fail(error)
        raise
    call.leave()
    return deliver(call, result)


handlers: dict[type, Callable[[Call, Any], Any]] = {dict: _dict}
_LIMIT = 1024


def handler_of(kind: type) -> Callable[[Call, Any], Any]:
    if len(handlers) >= _LIMIT:
        handlers.clear()
        handlers[dict] = _dict
    known = base_named(kind, SDK_STREAMS)
    handler: Callable[[Call, Any], Any]
    if known is not None:
        handler = (
            (_litellm if kind.__module__.startswith("litellm") else _stream)
            if known
            else (lambda call, result: observed_manager(result, call))
        )
    elif issubclass(kind, dict):
        handler = _dict
    elif (framework := base_named(kind, FRAMEWORKS)) is not None:
        handler = framework
    elif (raw := base_named(kind, RAW)) is not None:
        handler = _raw if raw else (lambda call, result: observed_raw_manager(result, call))
    else:
        handler = _by_protocol(kind)
    handlers[kind] = handler
    return handler


def _by_protocol(kind: type) -> Callable[[Call, Any], Any]:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name == "builtins.generator":
        return lambda call, result: ObservedGenerator(result, call)
    if name == "builtins.async_generator":
        return lambda call, result: ObservedAsyncGenerator(result, call)
    if name == "builtins.coroutine":
        return _coroutine
    futures = sys.modules.get("asyncio.futures")  # if it is not loaded, no future exists
    if futures is not None and issubclass(kind, futures.Future):
        return _future
    if hasattr(kind, "__await__"):
        return lambda call, result: ObservedAwaitable(result, call)
    return _plain


class ObservedAwaitable:
    """A measured awaitable that is not a coroutine; delegates every other attribute."""

    def __init__(self, awaitable: Any, call: Call) -> None:
        self._awaitable = awaitable
        self._call = call

    def __await__(self) -> Any:
        return awaited(self._call, self._awaitable).__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._awaitable, name)


class _Steps:
    """The call of a generator: it starts with the first step, and is current only inside the steps."""

    def __init__(self, generator: Any, call: Call) -> None:
        self._generator = generator
        self._measure = Measure(call)

    def _enter(self) -> bool:
        """Begin a step; False if the call has already ended, so that nothing more is measured."""
        call = self._measure.call
        if call.done:
            return False
        if not call.started:
            call.start()
        call.enter()
        return True

    def _leave(self, chunk: Any) -> Any:
        self._measure.call.leave()
        self._measure.feed(chunk)
        return chunk

    def _fail(self, error: BaseException) -> None:
        self._measure.call.leave()
        self._measure.end(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)


class ObservedGenerator(_Steps, Generator[Any, Any, Any]):
    """A generator, measured to its end."""

    def __next__(self) -> Any:
        return self._step(self._generator.__next__)

    def send(self, value: Any) -> Any:
        return self._step(self._generator.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._generator.throw, *error)

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        if not self._enter():
            return step(*arguments)
        try:
            chunk = step(*arguments)
        except BaseException as error:
            self._fail(error)
            raise
        return self._leave(chunk)

    def close(self) -> None:
        try:
            self._generator.close()
        finally:
            self._measure.drop()

    def __del__(self) -> None:
        self.close()


class ObservedAsyncGenerator(_Steps, AsyncGenerator[Any, Any]):
    """An async generator, measured to its end."""

    async def __anext__(self) -> Any:
        return await self._step(self._generator.__anext__)

    async def asend(self, value: Any) -> Any:
        return await self._step(self._generator.asend, value)

    async def athrow(self, *error: Any) -> Any:
        return await self._step(self._generator.athrow, *error)

    async def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        if not self._enter():
            return await step(*arguments)
        try:
            chunk = await step(*arguments)
        except BaseException as error:
            self._fail(error)
            raise
        return self._leave(chunk)

    async def aclose(self) -> None:
        try:
            await self._generator.aclose()
        finally:
            self._measure.drop()

    def __del__(self) -> None:
        # The event loop's own hook closes the generator itself.
        self._measure.drop()
