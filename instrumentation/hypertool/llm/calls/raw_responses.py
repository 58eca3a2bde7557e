"""The SDKs' raw responses (`with_raw_response`, `with_streaming_response`) whose body has not been read yet.

The caller gets the same object. However the caller reads the body (parse, read, iterate over lines or bytes), it
passes through one method of the HTTP response, which measures it. `extract` reads a body that was read before.
"""

from __future__ import annotations

import contextlib
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..reading.classes import base_named
from ..reading.extract import extract
from .call import Call
from .sdk_streams import AsyncManager, Measure, ObservedManager, SyncManager

_PACKAGES = ("openai", "anthropic", "groq", "cerebras", "together")
# (top package, class) -> True for a response, False for a manager whose `with` yields one.
RAW: dict[tuple[str, str], bool] = {
    **{(package, kind): True for package in _PACKAGES for kind in ("BaseAPIResponse", "LegacyAPIResponse")},
    **{
        (package, kind): False
        for package in _PACKAGES
        for kind in ("ResponseContextManager", "AsyncResponseContextManager")
    },
}
_LIMIT = 16 * 1024 * 1024


def unread(response: Any) -> Any:
    """The HTTP response of a raw response whose body has not been read yet, or None."""
    if not base_named(type(response), RAW):
        return None
    http = getattr(response, "http_response", None)
    return http if hasattr(http, "iter_bytes") and not hasattr(http, "_content") else None


def watch(http: Any, measure: Measure) -> None:
    """Measure the body of `http` while it is read."""
    body = _Body(measure, "event-stream" in str(http.headers.get("content-type", "")))
    read, read_async = http.iter_bytes, http.aiter_bytes
    close, close_async = http.close, http.aclose
    weakref.finalize(http, body.close).atexit = False

    @contextlib.contextmanager
    def whole_body() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            measure.end(error)
            raise
        body.end()

    def iter_bytes(*arguments: Any, **named: Any) -> Iterator[bytes]:
        with whole_body():
            for data in read(*arguments, **named):
                body.feed(data)
                yield data

    async def aiter_bytes(*arguments: Any, **named: Any) -> AsyncIterator[bytes]:
        with whole_body():
            async for data in read_async(*arguments, **named):
                body.feed(data)
                yield data

    def closed() -> None:
        close()
        if http.is_stream_consumed is not True:
            body.close()

    async def aclosed() -> None:
        await close_async()
        if http.is_stream_consumed is not True:
            body.close()

    http.iter_bytes, http.aiter_bytes = iter_bytes, aiter_bytes
    http.close, http.aclose = closed, aclosed


class _Body:
    """The part of a body that has arrived: events one by one, or one JSON document at the end."""

    __slots__ = ("_events", "_measure", "_rest", "_size")

    def __init__(self, measure: Measure, events: bool) -> None:
        self._measure = measure
        self._events = events
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take one more piece."""
        self._size += len(data)
        if not self._events:
            if self._size <= _LIMIT:
                self._rest.append(data)
            return
        lines = (b"".join(self._rest) + data).split(b"\n")
        self._rest = [lines.pop()[-_LIMIT:]]
        for line in lines:
            self._line(line.strip())

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:") and line[5:].lstrip()[:1] == b"{":
            try:
                self._measure.feed(json.loads(line[5:]))
            except ValueError:  # not a provider's event
                return

    def end(self) -> None:
        """The whole body has been read."""
        if self._events:
            for line in b"".join(self._rest).split(b"\n"):
                self._line(line.strip())
            self._measure.end()
            return
        try:
            answer = json.loads(b"".join(self._rest)) if self._size <= _LIMIT else None
        except ValueError:
            answer = None
        self._measure.call.finish(extract(answer), output=answer)

    def close(self) -> None:
        """The caller stops before the end."""
        self._measure.drop()


class _RawManager(ObservedManager):
    """The result of an SDK's `with_streaming_response`: entering it makes the request."""

    def _entered(self, value: Any) -> Any:
        http = unread(value)
        if http is not None:
            watch(http, self._measure)
        else:
            self._measure.call.finish(extract(value), output=value)
        return value


class _SyncRawManager(_RawManager, SyncManager):
    pass


class _AsyncRawManager(_RawManager, AsyncManager):
    pass


def observed_raw_manager(manager: Any, call: Call) -> ObservedManager:
    """An SDK's manager of a raw response, measured; sync or async, as the manager itself is."""
    return (_AsyncRawManager if hasattr(type(manager), "__aenter__") else _SyncRawManager)(manager, call)
