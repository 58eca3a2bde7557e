"""The answers in one stream: each has its own id and usage, and their sum is the usage of the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .billing import Bill
from .counts import ReadRecord, Record, usage_of
from .fields import text
from .sums import added
from .usage import INVALID, NO_USAGE, STREAM_CUT, UNRECOGNISED, Billing, Missing, Reading, Usage

Step = Callable[["Answers", Any], None]


def _invalid(record: Record) -> Usage | Missing:
    return INVALID


class Answers:
    """The state that the steps of the shapes update. It keeps counts only, never chunks."""

    __slots__ = (
        "begun",
        "bill",
        "broken",
        "earlier",
        "ended",
        "id",
        "known",
        "model",
        "needs_end",
        "provider",
        "queries",
        "read",
        "reasons",
        "record",
        "said",
        "settled",
        "tier",
    )

    def __init__(self) -> None:
        self.settled = False
        """Whether the final usage has arrived: a consumer that stops now misses nothing."""
        self.ended = True
        """Whether the current answer is complete, so that the next chunk may begin another one."""
        self.known = self.broken = self.needs_end = self.begun = False
        self.record: Any = None
        self.read: ReadRecord = _invalid
        self.model: str | None = None
        self.id: str | None = None
        self.provider: str | None = None
        self.tier: str | None = None
        self.reasons: tuple[str, ...] = ()
        self.bill: Bill | None = None
        self.said: Billing | None = None
        """What the current answer has said of its bill outside its usage record."""
        self.queries: frozenset[int] = frozenset()
        """Which searches the current answer has made."""
        self.earlier: dict[Any, Reading] | None = None

    def take(self, record: Any, read: ReadRecord, final: bool, bill: Bill | None = None) -> None:
        """Remember `record` in place of the one before it; `final` if no larger one can follow."""
        if self.read is not _invalid or self.record is None:
            self.record, self.read, self.bill, self.settled = record, read, bill, self.settled or final

    def take_reading(self, reading: Reading) -> None:
        """Take a whole response: a new answer, unless the current answer has the same id."""
        usage = reading.usage
        if self.id is None or reading.id is None or self.id != reading.id:
            self.begin(reading.model, reading.id, reading.provider)
        self.model, self.tier = reading.model or self.model, reading.service_tier or self.tier
        self.reasons += reading.finish_reasons
        self.said = reading.billing
        self.ended = self.known = True
        if isinstance(usage, Usage):
            self.take(usage, lambda _: usage, True)
        elif usage is INVALID:
            self.spoil()

    def spoil(self) -> None:
        """Mark the answer as invalid after a bad count: no later chunk can correct it."""
        self.record, self.read, self.settled = (), _invalid, True

    def begin(self, model: Any, identity: Any, provider: str | None) -> None:
        """Begin another answer; this ends the previous one, if any."""
        named, key = text(model), text(identity)
        if self.begun or self.record is not None:
            found = self._current(True)
            if self.earlier is None:
                self.earlier = {}
            if self.record is None or found.usage is not NO_USAGE:  # an answer that says 0 adds nothing
                self.earlier[self.id or len(self.earlier)] = found
            self._clear()
            self.tier = None
        if key and self.earlier:
            self.earlier.pop(key, None)
        self.known, self.begun, self.ended = True, True, False
        self.model, self.id = named or (self.model if self.earlier else None), key
        self.provider = provider or self.provider

    def forget(self) -> None:
        """What follows is the sum of all answers so far."""
        self.earlier = None
        self._clear()

    def _clear(self) -> None:
        self.record = self.bill = self.said = None
        self.read, self.settled, self.needs_end, self.queries = _invalid, False, False, frozenset()

    def finish(self, complete: bool = True) -> Reading:
        """The reading so far; `complete` says that the stream ran to its end and was neither cut nor abandoned."""
        if not self.earlier:
            return self._current(complete, self.reasons)
        return added([*self.earlier.values(), self._current(complete)])._replace(finish_reasons=self.reasons)

    def _current(self, complete: bool, reasons: tuple[str, ...] = ()) -> Reading:
        usage, billing = self._usage(complete), None
        if isinstance(usage, Usage):
            billing = self.said or (self.bill(self.record) if self.bill is not None else None)
        return Reading(usage, self.model, self.id, reasons, self.provider, self.tier, billing)

    def _usage(self, complete: bool) -> Usage | Missing:
        if self.record is None:
            if self.broken and not self.settled:
                return UNRECOGNISED
            if not complete or self.needs_end:
                return NO_USAGE if self.settled else STREAM_CUT
            return NO_USAGE if self.known else UNRECOGNISED
        if self.read is _invalid:
            return INVALID
        if self.broken and not self.settled:
            return UNRECOGNISED
        if not self.settled and (not complete or self.needs_end):
            return STREAM_CUT
        return usage_of(self.read, self.record)
