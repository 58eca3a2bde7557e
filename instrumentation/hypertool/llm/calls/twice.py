"""Recognises one response in two calls, so that an observed call nested in another thread counts once.

A call knows the nested calls that its context reaches. A plain thread, a pool or `run_in_executor` does not inherit
the context: there, the response is recognised by its id, or by the object itself if it has none. A nested call begins
after the outer one, ends before it, runs in another thread, and calls another function. Sibling calls, whose ids are
equal only in tests, call the same function.
"""

from __future__ import annotations

from collections import deque
from threading import get_ident
from typing import Any

from ..reading.usage import Usage
from ..record import CallRecord

REMEMBERED = 256
_OBJECTS = 16

# Key, usage, called function, thread, start, end, and the object (kept so that its address is not reused).
_Counted = tuple["str | int", Usage, str, int, float, float, Any]

_by_id: deque[_Counted] = deque(maxlen=REMEMBERED)
_by_object: deque[_Counted] = deque(maxlen=_OBJECTS)


def seen_inside(work: str, started: float, record: CallRecord, response: Any, inherited: bool = False) -> bool:
    """Whether a nested call has counted the response of this call of `work`; if not, remember it.

    A call whose context was `inherited` is not remembered: it would know a call around it.
    """
    usage, reading = record.usage, record.reading
    if reading is None or not isinstance(usage, Usage):
        return False
    key: str | int | None = reading.id
    if key is not None:
        counted, kept = _by_id, None
    elif response is None or isinstance(response, (str, int, float)):
        return False
    else:
        key, counted, kept = id(response), _by_object, response
    # For most calls none has ended since they began.
    if counted and counted[-1][5] >= started and _inside(counted, key, usage, work, started):
        return True
    if not inherited:
        counted.append((key, usage, work, get_ident(), started, started + (record.seconds or 0.0), kept))
    return False


def _inside(counted: deque[_Counted], key: str | int, usage: Usage, work: str, started: float) -> bool:
    thread = get_ident()
    # Copy first: other threads may append to a deque during a copy, but not during iteration.
    for other_key, other_usage, other_work, other_thread, began, end, _ in reversed(tuple(counted)):
        if end < started:
            break
        inside = began >= started and other_thread != thread and other_work != work
        if inside and other_key == key and other_usage == usage:
            return True
    return False
