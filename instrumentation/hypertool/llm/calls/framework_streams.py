"""Framework results that continue after they are returned (openai-agents, pydantic-ai), and a crew's runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from ..reading.extract import extract
from . import crews
from .call import Call
from .sdk_streams import AsyncManager, Measure


def _agents_run(call: Call, result: Any) -> Any:
    """openai-agents' `run_streamed`: returns the same object, with its events measured."""
    measure, events = Measure(call), result.stream_events

    async def stream_events(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        try:
            async for event in events(*arguments, **named):
                measure.feed(event)
                yield event
        except BaseException as error:
            measure.end(error)
            raise
        measure.end()

    result.stream_events = stream_events
    return result


class ObservedRun(AsyncManager):
    """pydantic-ai's `run_stream`; it is a generic async context manager, so only the yielded value identifies it."""

    _run: Any = None

    def _entered(self, value: Any) -> Any:
        if type(value).__module__.partition(".")[0] == "pydantic_ai":
            self._run = value
        else:
            self._measure.call.finish(extract(value), output=value)
        return value

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> Any:
        try:
            return await self._manager.__aexit__(kind, error, trace)
        finally:
            run, call = self._run, self._measure.call
            if run is not None and error is None and getattr(run, "is_complete", False):
                usage = run.usage
                call.finish(extract({"usage": usage() if callable(usage) else usage}))
            self._measure.drop(error)


# (top package, class) -> the function that wraps an instance.
FRAMEWORKS: dict[tuple[str, str], Callable[[Call, Any], Any]] = {
    ("agents", "RunResultStreaming"): _agents_run,
    ("hypertool", "CrewRun"): crews.finish,
    ("contextlib", "_AsyncGeneratorContextManager"): lambda call, result: ObservedRun(result, call),
}
