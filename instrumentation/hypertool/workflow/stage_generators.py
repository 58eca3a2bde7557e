"""Stages whose function returns a generator: the stage lasts until the generator is exhausted, closed or dropped."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stage import Stage


class StageEnd:
    """Ends an entered stage with its block, or leaves that to the generator that the block returns."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._handed_over = False

    def result(self, value: Any) -> Any:
        """The result of the stage, checked for a verdict; a generator is wrapped and ends the stage itself."""
        if inspect.isgenerator(value):
            self._handed_over = True
            return _StageGenerator(self._stage, value)
        if inspect.isasyncgen(value):
            self._handed_over = True
            return _AsyncStageGenerator(self._stage, value)
        self._stage.judge(value)
        return value

    def __enter__(self) -> StageEnd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handed_over:
            self._stage.suspend()
        else:
            self._stage.__exit__(kind, error, trace)


class _Steps:
    """One step of a generator: the stage's span is current only within a step, and ends with the generator."""

    __slots__ = ("done", "stage")

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.done = False

    def __enter__(self) -> None:
        if not self.done:
            self.stage.resume()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.done:
            return
        if error is None:
            self.stage.suspend()
            return
        self.done = True
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            self.stage.__exit__(None, None, None)
        else:
            self.stage.__exit__(kind, error, trace)

    def drop(self) -> None:
        """Dropped before its end: a cancelled stage."""
        if not self.done:
            self.done = True
            self.stage.resume()
            self.stage.__exit__(GeneratorExit, GeneratorExit(), None)


class _StageGenerator(Generator[Any, Any, Any]):
    def __init__(self, stage: Stage, generator: Generator[Any, Any, Any]) -> None:
        self._steps = _Steps(stage)
        self._generator = generator

    def send(self, value: Any) -> Any:
        with self._steps:
            return self._generator.send(value)

    def throw(self, *error: Any) -> Any:
        with self._steps:
            return self._generator.throw(*error)

    def close(self) -> None:
        self._generator.close()
        self._steps.drop()

    def __del__(self) -> None:
        self.close()


class _AsyncStageGenerator(AsyncGenerator[Any, Any]):
    def __init__(self, stage: Stage, generator: AsyncGenerator[Any, Any]) -> None:
        self._steps = _Steps(stage)
        self._generator = generator

    async def asend(self, value: Any) -> Any:
        with self._steps:
            return await self._generator.asend(value)

    async def athrow(self, *error: Any) -> Any:
        with self._steps:
            return await self._generator.athrow(*error)

    async def aclose(self) -> None:
        await self._generator.aclose()
        self._steps.drop()

    def __del__(self) -> None:
        # The event loop's own hook closes the generator itself.
        self._steps.drop()
