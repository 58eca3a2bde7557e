"""Streams that a program leaves open: they end with its exit hooks, while there is still an interpreter to count them.

Later nothing can be imported and no thread started, and a stream that is closed then may be lost.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

from ...metrics.core import shared


class Stream(Protocol):
    """What is measured; `drop` counts it as cut."""

    def drop(self) -> None:
        """Nobody asks for more."""


_open: weakref.WeakSet[Stream] = weakref.WeakSet()
_hooked = False
_ended = False


def note(stream: Stream) -> None:
    """A stream begins."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_end_all)
    if _ended:
        shared()  # opened by another exit hook: what counting needs must be there before the interpreter is gone
    _open.add(stream)


def _end_all() -> None:
    global _ended
    _ended = True
    for stream in list(_open):
        stream.drop()


def after_fork_in_child() -> None:
    """The parent's streams are the parent's to count."""
    _open.clear()


# A second time, from here: exit hooks run last in first out, and one that was registered meanwhile may open a stream.
atexit.register(_end_all)
os.register_at_fork(after_in_child=after_fork_in_child)
