"""How type checkers see an observed function: its own arguments, optionally with ours, and its own return type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
Rest = ParamSpec("Rest")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Owner = TypeVar("Owner")

Metadata = Mapping[str, Any]


class Langfuse(Protocol):
    """The type of a `langfuse` argument: a `LangfuseIntegration`, which is defined in a layer above this one."""

    def flush(self) -> bool:
        """Send what is queued."""


class Callback(Protocol[P, R_co]):
    """The call of an observed function.

    A ParamSpec cannot be extended by keywords, hence one overload for each of ours. The last overload is for SDK
    functions that are overloaded themselves: a checker infers only one of their overloads.
    """

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self,
        *args: Any,
        persona: str | None,
        chatmode: str | None = ...,
        trace: Any = ...,
        metadata: Metadata | None = ...,
        **kwargs: Any,
    ) -> R_co: ...
    @overload
    def __call__(
        self,
        *args: Any,
        chatmode: str | None,
        trace: Any = ...,
        metadata: Metadata | None = ...,
        **kwargs: Any,
    ) -> R_co: ...
    @overload
    def __call__(self, *args: Any, trace: Any, metadata: Metadata | None = ..., **kwargs: Any) -> R_co: ...
    @overload
    def __call__(self, *args: Any, metadata: Metadata | None, **kwargs: Any) -> R_co: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class ObservedFunction(Callback[P, R_co], Protocol[P, R_co]):
    """A function decorated with `observe_llm`; on a class it binds like a method."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, R_co]: ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> ObservedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: ObservedFunction[Concatenate[Owner, Rest], R_co], instance: Owner, owner: type | None = ..., /
    ) -> ObservedFunction[Rest, R_co]: ...


class Decorator(Protocol):
    """The type of `observe_llm(...)`."""

    @overload
    def __call__(self, function: staticmethod[P, R], /) -> staticmethod[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: classmethod[Owner, P, R], /) -> classmethod[Owner, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> ObservedFunction[P, R]: ...
