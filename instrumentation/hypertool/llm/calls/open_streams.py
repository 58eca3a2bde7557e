"""Streams that a program leaves open: an exit hook ends them while the interpreter can still count them.

After the exit hooks no import and no new thread is possible, and a stream closed then may be lost.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

from ...metrics.core import shared


class Stream(Protocol):
    """A measured stream; `drop` counts it as cut."""

    def drop(self) -> None:
        """End the measurement: the consumer has stopped."""


_open: weakref.WeakSet[Stream] = weakref.WeakSet()
_hooked = False
_ended = False


def note(stream: Stream) -> None:
    """Register a stream that begins."""
    global _hooked
    if not _hooked:
        _hooked = True
        atexit.register(_end_all)
    if _ended:
        shared()  # opened by another exit hook: load what counting needs before the interpreter shuts down
    _open.add(stream)


def _end_all() -> None:
    global _ended
    _ended = True
    for stream in list(_open):
        stream.drop()


def after_fork_in_child() -> None:
    """Forget the parent's streams: the parent counts them."""
    _open.clear()


# Registered here as well: exit hooks run in reverse order, and one registered in between may open a stream.
atexit.register(_end_all)
os.register_at_fork(after_in_child=after_fork_in_child)
