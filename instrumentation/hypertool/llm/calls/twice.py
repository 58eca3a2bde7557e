"""The same response in two calls: an observed call that ran in another thread of an observed one counts once.

Where the context of a call reaches the calls inside it, the call knows them. A plain thread, a pool or
`run_in_executor` has no context: there the response is recognised, by its id, or by the object itself where it has
none. A call inside another one began after it, ended before it, in another thread, and called another function. Calls
beside each other, whose ids only a test makes equal, call the same one.
"""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter
from typing import Any

from ..reading.usage import Usage

REMEMBERED = 256
_OBJECTS = 16

# Key, usage, what was called, thread, start, end and, to keep an address from being used again, the object.
_Counted = tuple["str | int", Usage, str, int, float, float, Any]

_by_id: deque[_Counted] = deque(maxlen=REMEMBERED)
_by_object: deque[_Counted] = deque(maxlen=_OBJECTS)


def seen_inside(work: str, started: float, usage: Usage, identity: str | None, response: Any) -> bool:
    """Whether the response of a call of `work`, begun at `started`, was counted inside it; else remember it."""
    key: str | int
    if identity is not None:
        key, counted, kept = identity, _by_id, None
    elif response is None or isinstance(response, (str, int, float)):
        return False
    else:
        key, counted, kept = id(response), _by_object, response
    thread = threading.get_ident()
    # Deques may be appended to while they are copied, never while they are gone through.
    since = tuple(counted) if counted and counted[-1][5] >= started else ()
    for other_key, other_usage, other_work, other_thread, began, ended, _ in reversed(since):
        if ended < started:
            break
        inside = began >= started and other_thread != thread and other_work != work
        if inside and other_key == key and other_usage == usage:
            return True
    counted.append((key, usage, work, thread, started, perf_counter(), kept))
    return False
