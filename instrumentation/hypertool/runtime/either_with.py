"""The base of context managers that `async with` enters and leaves just as `with` does."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

_Own = TypeVar("_Own", bound="EitherWith")


class EitherWith:
    """A subclass has `__enter__` and `__exit__`; neither of them waits for anything."""

    __slots__ = ()

    def __enter__(self: _Own) -> _Own:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self: _Own) -> _Own:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
