"""Cache: a hit costs nothing and is a step of its stage; a miss is one too, and costs the persona that asked."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Hashable, MutableMapping
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from ..runtime.logs import once
from .steps import Step, is_async, settled

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NONE = object()
# What this context computes right now: a function that calls itself must not wait for itself.
_COMPUTING: ContextVar[frozenset[Any]] = ContextVar("hypertool_cache", default=frozenset())


def cached(
    store: MutableMapping[Any, Any] | None = None, key: Callable[..., Hashable] | None = None
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """`@cached()`: call the function once for the same arguments, whichever persona asks; sync or async.

    `store` is a dict by default; any mutable mapping does (`cachetools.TTLCache(256, 600)` bounds size and age, a
    `shelve` survives the process). `key(*args, **kwargs)` names an entry; by default the arguments themselves do.
    Callers that ask for the same at the same time wait for the first one. What raises, is cancelled, or has a verdict
    that is negative is not kept, and a caller that waited for it tries itself. A store that raises is logged once, and
    the call is made.

    A hit is the step `<stage>.hit`, a call the step `<stage>.miss`; `cache.waited` says that a hit waited for another
    caller. Raises TypeError where the arguments cannot be a key.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        shelf = _Shelf({} if store is None else store, key, getattr(function, "__qualname__", repr(function)))
        return _async(shelf, function) if is_async(function) else _sync(shelf, function)

    return decorate


def _sync(shelf: _Shelf, function: Callable[_P, _R]) -> Callable[_P, _R]:
    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        name, waited = shelf.name(args, kwargs), False
        while True:
            value, other = shelf.claim(name)
            if value is not _NONE:
                found: _R = _hit(value, waited)
                return found
            if other is None:
                with _Claim(shelf, name) as claim:
                    return claim.keep(settled(function(*args, **kwargs)))
            waited = other.result() or waited

    return call


def _async(shelf: _Shelf, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        name, waited = shelf.name(args, kwargs), False
        while True:
            value, other = shelf.claim(name)
            if value is not _NONE:
                return _hit(value, waited)
            if other is None:
                with _Claim(shelf, name) as claim:
                    return claim.keep(await function(*args, **kwargs))
            waited = await asyncio.wrap_future(other) or waited

    return call


def _hit(value: Any, waited: bool) -> Any:
    with Step("cache", "hit", {"cache.hit": True, "cache.waited": waited}):
        return value


class _Shelf:
    """The entries of one function, and which of them are being computed."""

    def __init__(self, store: MutableMapping[Any, Any], key: Callable[..., Hashable] | None, function: str) -> None:
        self.store = store
        self.lock = threading.Lock()
        self.running: dict[Any, Future[bool]] = {}
        self._key = key
        self._function = function

    def name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = self._key(*args, **kwargs) if self._key is not None else (args, tuple(sorted(kwargs.items())))
        try:
            hash(name)
        except TypeError as error:
            raise TypeError(
                f"the arguments of {self._function} cannot be the key of a cache ({error}); "
                "give `cached(key=...)`, a function of the arguments that returns a string"
            ) from None
        return name

    def claim(self, name: Any) -> tuple[Any, Future[bool] | None]:
        """The entry; or else the call that computes it; or else neither: it is the caller's to compute."""
        with self.lock:
            value = self._stored(name)
            if value is not _NONE or (self, name) in _COMPUTING.get():
                return value, None
            running = self.running.get(name)
            if running is None:
                mine = self.running[name] = Future()
                mine.set_running_or_notify_cancel()  # A cancelled caller that waits must not cancel it for all.
            return _NONE, running

    def keep(self, name: Any, value: Any) -> bool:
        """Store an entry. An answer that was paid for reaches its caller, whatever the store does wrong."""
        try:
            with self.lock:
                self.store[name] = value
            return True
        except Exception as error:
            self._complain("takes", error)
            return False

    def _stored(self, name: Any) -> Any:
        try:
            return self.store.get(name, _NONE)
        except Exception as error:
            self._complain("gives", error)
            return _NONE

    def _complain(self, what: str, error: Exception) -> None:
        once.warn(
            f"cache-{what}-{self._function}",
            f"the store of the cache of {self._function} {what} no entry ({type(error).__name__}: {error!s:.200}); "
            "calls go on without it (logged once)",
        )


class _Claim:
    """The computing of one entry: a step, and the end of the wait for all others."""

    def __init__(self, shelf: _Shelf, name: Any) -> None:
        self._shelf = shelf
        self._name = name
        self._step = Step("cache", "miss", {"cache.hit": False})
        self._kept = False

    def __enter__(self) -> _Claim:
        self._token = _COMPUTING.set(_COMPUTING.get() | {(self._shelf, self._name)})
        self._step.__enter__()
        return self

    def keep(self, value: _R) -> _R:
        if self._step.judge(value):
            self._kept = self._shelf.keep(self._name, value)
        return value

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self._step.__exit__(kind, error, trace)
            _COMPUTING.reset(self._token)
        finally:
            with self._shelf.lock:
                running = self._shelf.running.pop(self._name, None)
            if running is not None:
                running.set_result(self._kept)
