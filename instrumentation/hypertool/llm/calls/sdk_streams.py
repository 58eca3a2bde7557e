"""The SDKs' own streams and stream managers, measured; `isinstance` and their methods work as before."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any

from ..describing.messages import captures
from ..describing.transcript import Transcript
from ..reading.streams import StreamReader
from ..reading.usage import NO_USAGE, Usage
from . import open_streams
from .call import Call, is_cancelled

# By top package: the classes of its streams, and of the managers whose `with` yields one.
_STREAMS = {
    "openai": "Stream AsyncStream ChatCompletionStream AsyncChatCompletionStream ResponseStream AsyncResponseStream",
    "anthropic": "Stream AsyncStream MessageStream AsyncMessageStream BetaMessageStream BetaAsyncMessageStream "
    "BaseSyncToolRunner BaseAsyncToolRunner JSONLDecoder AsyncJSONLDecoder",
    **dict.fromkeys(("groq", "cerebras", "together", "google"), "Stream AsyncStream"),
    "litellm": "CustomStreamWrapper BaseResponsesAPIStreamingIterator LiteLLMCompletionStreamingIterator",
    "mistralai": "EventStream EventStreamAsync",
    "botocore": "EventStream",
}
_MANAGERS = {
    "openai": "ChatCompletionStreamManager AsyncChatCompletionStreamManager ResponseStreamManager "
    "AsyncResponseStreamManager",
    "anthropic": "MessageStreamManager AsyncMessageStreamManager BetaMessageStreamManager "
    "BetaAsyncMessageStreamManager",
}
# (top package, class) -> True for a stream, False for a manager.
SDK_STREAMS: dict[tuple[str, str], bool] = {
    (package, kind): table is _STREAMS
    for table in (_STREAMS, _MANAGERS)
    for package, kinds in table.items()
    for kind in kinds.split()
}


class Measure:
    """The chunks of one call: the times of the first and the last one, and the usage that they report.

    `told`, if set, returns whether the provider reported the usage; otherwise the SDK has estimated it.
    """

    __slots__ = ("__weakref__", "call", "read", "reader", "told", "transcript", "unusual")

    def __init__(self, call: Call) -> None:
        open_streams.note(self)
        self.call = call
        self.reader = StreamReader()
        self.read = self.reader.feed
        self.transcript = Transcript() if captures() else None
        self.unusual = True
        """Whether the next chunk must be looked at: it is the first, or content is recorded."""
        self.told: Callable[[], bool] | None = None

    def feed(self, chunk: Any) -> None:
        """Take one more chunk."""
        call = self.call
        call.last = now = perf_counter()
        self.read(chunk)
        if self.unusual:
            self._look(now, chunk)

    def _look(self, now: float, chunk: Any) -> None:
        if self.call.first is None:
            self.call.first = now - self.call.started
        if self.transcript is not None:
            self.transcript.feed(chunk)
        self.unusual = self.transcript is not None

    def end(self, error: BaseException | None = None) -> None:
        """The stream ended by itself (None or StopIteration), or with an error."""
        if self.call.done:
            return
        if error is None or isinstance(error, (StopIteration, StopAsyncIteration)):
            self.call.last = perf_counter()
            self._finish(True)
        elif is_cancelled(error):
            self.drop(error)
        else:
            self.call.last = perf_counter()
            self._finish(False, error)

    def __enter__(self) -> None:
        """`with measure:` around what begins the stream: an error there is the end of the call."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.end(error)

    def drop(self, error: BaseException | None = None) -> None:
        """The consumer has stopped; after the final usage the call still counts as complete."""
        if self.call.done:
            return
        if self.reader.settled:
            self._finish(True)
        elif self.call.started:
            self._finish(False, error or GeneratorExit(), "cancelled")

    def _finish(self, complete: bool, error: BaseException | None = None, outcome: str | None = None) -> None:
        words = self.transcript.response() if self.transcript is not None else None
        reading = self.reader.finish(complete)
        if self.told is not None and isinstance(reading.usage, Usage) and not self.told():
            reading = reading._replace(usage=NO_USAGE)
        self.call.finish(reading, error, outcome=outcome, output=words)


class _Tap:
    """Replaces an SDK stream's own iterator, to measure its helpers (`text_stream`, `get_final_...`) as well."""

    __slots__ = ("_call", "_iterator", "_later", "_measure", "_read")

    def __init__(self, iterator: Any, measure: Measure) -> None:
        self._iterator = iterator
        self._measure = measure
        self._call = measure.call
        self._read = measure.read
        self._later = getattr(iterator, "__anext__", None)

    def __iter__(self) -> Any:
        return self

    def __aiter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            chunk = self._iterator.__next__()
        except BaseException as error:
            self._measure.end(error)
            raise
        if self._measure.unusual:
            self._measure.feed(chunk)
        else:  # as `feed`, without the cost of calling it
            self._call.last = perf_counter()
            self._read(chunk)
        return chunk

    async def __anext__(self) -> Any:
        try:
            chunk = await self._later()  # type: ignore[misc]  # only async iterators are awaited
        except BaseException as error:
            self._measure.end(error)
            raise
        if self._measure.unusual:
            self._measure.feed(chunk)
        else:
            self._call.last = perf_counter()
            self._read(chunk)
        return chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)


class _Steps(_Tap):
    """What a loop over a stream asks for chunks: the tap itself, without a call of the stream for each.

    It keeps the stream: the call ends when nobody holds that any more.
    """

    __slots__ = ("_stream",)

    def __init__(self, tap: _Tap, stream: ObservedStream) -> None:
        super().__init__(tap._iterator, tap._measure)
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def observed_stream(stream: Any, measure: Measure) -> ObservedStream:
    """An SDK's stream, measured; sync, async or both, as the stream itself is."""
    kind = type(stream)
    if not hasattr(kind, "__aiter__"):
        return SyncStream(stream, measure)
    return BothStream(stream, measure) if hasattr(kind, "__iter__") else AsyncStream(stream, measure)


class Observed:
    """What an SDK returned, measured until it ends or is closed; `isinstance` and its methods work as before.

    A class has only the methods of its kind: `isinstance(stream, AsyncIterator)` asks the class for them.
    """

    _sdk: Any
    _measure: Measure

    @property  # type: ignore[misc]  # isinstance() reads it
    def __class__(self) -> Any:
        return type(self._sdk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sdk, name)

    def __del__(self) -> None:
        self._measure.drop()


class SyncExit(Observed):
    """The end of a `with` block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return self._sdk.__exit__(kind, error, trace)
        finally:
            self._measure.drop(error)


class AsyncExit(Observed):
    """The end of an `async with` block."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return await self._sdk.__aexit__(kind, error, trace)
        finally:
            self._measure.drop(error)


class ObservedStream(Observed):
    """An SDK's stream."""

    def __init__(self, stream: Any, measure: Measure) -> None:
        self._sdk = stream
        self._measure = measure
        own = vars(stream).get("_iterator") if hasattr(stream, "__dict__") else None
        if own is not None:
            tap = stream._iterator = _Tap(own, measure)
            # OpenAI's streams return their iterator's items unchanged; others (Anthropic's) process them first.
            self._tap: Any = tap if type(stream).__module__.partition(".")[0] == "openai" else stream
        else:
            self._tap = None

    def _loop(self) -> Any:
        return _Steps(self._tap, self) if type(self._tap) is _Tap else self

    def close(self) -> Any:
        """Close the stream; for an async stream, await the result."""
        closed = self._sdk.close()
        if inspect.isawaitable(closed):
            return self._close(closed)
        self._measure.drop()
        return closed

    async def _close(self, closed: Any) -> Any:
        try:
            return await closed
        finally:
            self._measure.drop()


class SyncStream(ObservedStream, SyncExit):
    """A stream for `for` and `with`."""

    def __iter__(self) -> Any:
        if self._tap is None:
            self._tap = _Tap(iter(self._sdk), self._measure)
        return self._loop()

    def __next__(self) -> Any:
        if self._tap is None:
            self.__iter__()
        return self._tap.__next__()

    def __enter__(self) -> Any:
        self._sdk.__enter__()
        return self


class AsyncStream(ObservedStream, AsyncExit):
    """A stream for `async for` and `async with`."""

    def __aiter__(self) -> Any:
        if self._tap is None:
            self._tap = _Tap(self._sdk.__aiter__(), self._measure)
        return self._loop()

    def __anext__(self) -> Any:  # not async: saves a second coroutine for every chunk
        if self._tap is None:
            self.__aiter__()
        return self._tap.__anext__()

    async def __aenter__(self) -> Any:
        await self._sdk.__aenter__()
        return self


class BothStream(SyncStream, AsyncStream):
    """LiteLLM's stream, which is both."""


class ObservedManager(Observed):
    """The result of an SDK's `stream(...)`: entering it makes the call."""

    def __init__(self, manager: Any, call: Call) -> None:
        self._sdk = manager
        self._measure = Measure(call)

    def _entered(self, stream: Any) -> Any:
        return observed_stream(stream, self._measure)


class SyncManager(ObservedManager, SyncExit):
    """A manager for `with`."""

    def __enter__(self) -> Any:
        with self._measure:
            stream = self._sdk.__enter__()
        return self._entered(stream)


class AsyncManager(ObservedManager, AsyncExit):
    """A manager for `async with`."""

    async def __aenter__(self) -> Any:
        with self._measure:
            stream = await self._sdk.__aenter__()
        return self._entered(stream)


def observed_manager(manager: Any, call: Call) -> ObservedManager:
    """An SDK's manager, measured; sync or async, as the manager itself is."""
    return (AsyncManager if hasattr(type(manager), "__aenter__") else SyncManager)(manager, call)
