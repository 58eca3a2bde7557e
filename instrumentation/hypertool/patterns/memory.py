"""Memory that personas share: who wrote what, and who read it, is in the trace."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from ..recording.ambient import STAGE, current_place
from ..spans import span as spans

LIMIT = 256


class Entry(NamedTuple):
    """One thing remembered at `time` (seconds since the epoch); `persona` and `stage` wrote it, or are empty."""

    key: str
    value: Any
    persona: str
    stage: str
    time: float


class SharedMemory:
    """What one persona found out and another needs, so that its tokens are spent once; for threads and tasks alike.

    Values stay in this process and go to no sink. Beyond `limit` entries the oldest is forgotten. Writing is the span
    `memory.remember` and reading `memory.recall`, inside the stage, with `memory.key`, `memory.persona`, `memory.found`
    and, of what was found, `memory.written_by`. They are no steps: looking something up passes no gate.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"a memory holds at least one entry, not {limit!r:.60}")
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def remember(self, key: str, value: Any) -> None:
        """Write `value`; an entry of that key is replaced."""
        persona, stage = current_place()[0] or "", STAGE.get()
        entry = Entry(key, value, persona, stage.stage if stage is not None else "", time.time())
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        _trace("remember", {"memory.key": key, "memory.persona": persona})

    def recall(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        with self._lock:
            entry = self._entries.get(key)
        found: dict[str, Any] = {"memory.found": entry is not None}
        if entry is not None:
            found["memory.written_by"] = entry.persona
        _trace("recall", {"memory.key": key, "memory.persona": current_place()[0] or "", **found})
        return entry.value if entry is not None else default

    def entries(self) -> tuple[Entry, ...]:
        """Everything that is remembered, oldest first; makes no span."""
        with self._lock:
            return tuple(self._entries.values())


def _trace(name: str, attributes: dict[str, Any]) -> None:
    span = spans.start(f"memory.{name}", lambda: attributes)
    if span is not None:
        span.end({})
