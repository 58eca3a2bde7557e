"""The immutable record of one LLM call, and the meter that writes metrics and the budget debit from it, once."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ..domain.checks import MAX_TOKENS_PER_RECORD
from ..domain.instruments import (
    LLM_COST,
    LLM_DURATION,
    LLM_FIRST_CHUNK,
    LLM_REQUESTS,
    LLM_TOKENS,
    LLM_USAGE_MISSING,
    TOKEN_KINDS,
    TOKENS,
)
from ..domain.labels import OTHER
from ..domain.personas import UNKNOWN, Persona
from .pricing.cost import cost_of, cost_of_parts
from .reading.usage import INVALID, Missing, Reading, Usage

if TYPE_CHECKING:
    from ..metrics.collector import PersonaMetricsCollector
    from ..recording.cells import Counter, Exemplar, Histogram
    from ..recording.recorder import Recorder
    from ..recording.runs import Run


class CallRecord(NamedTuple):
    """The facts of one call; its metrics, budget debit and span attributes all come from this record.

    `usage` is None if an unsuccessful call reported none; this does not count as missing usage. `nano_usd` is None if
    no price is known. `total` is the number of tokens in `usage`, or 0 if the usage is unknown. `seconds` is None for
    a blocked call, which was never made. `first_chunk` is the seconds until a stream's first chunk.
    """

    persona: str
    chatmode: str
    model: str
    outcome: str
    seconds: float | None
    usage: Usage | Missing | None
    nano_usd: int | None
    reading: Reading | None
    first_chunk: float | None = None
    total: int = 0

    @property
    def counted(self) -> Usage | None:
        """The usage if it is known, else None."""
        return self.usage if isinstance(self.usage, Usage) else None


def make_record(
    persona: str,
    chatmode: str,
    model: str,
    outcome: str,
    seconds: float | None,
    reading: Reading | None,
    first_chunk: float | None = None,
) -> CallRecord:
    """The record of a call that has ended; `reading` is None if there is no response to read."""
    usage: Usage | Missing | None = reading.usage if reading is not None else None
    nano, total = None, 0
    if reading is not None and isinstance(usage, Usage):
        fresh, cached, written, output, reasoning, _, _ = usage
        total = fresh + cached + written + output + reasoning
        if total <= MAX_TOKENS_PER_RECORD:
            _, named, _, _, provider, tier, billing, parts = reading  # a third of the look-ups
            if parts:
                nano = cost_of_parts(parts, model)
            else:
                nano = cost_of(named or model, usage, tier, None, provider, billing)
        else:
            usage, total = INVALID, 0
    elif outcome == "error" or (outcome == "cancelled" and reading is None):
        usage = None  # an unsuccessful call without usage is not missing usage
    return tuple.__new__(
        CallRecord, (persona, chatmode, model, outcome, seconds, usage, nano, reading, first_chunk, total)
    )


class _Cells:
    """The counters and histograms of one persona, chatmode and model.

    `cost` is None until a call has a price, `first_chunk` until a call streams, the last three until a call has them.
    """

    __slots__ = (
        "cached",
        "cost",
        "first_chunk",
        "input",
        "known",
        "model",
        "output",
        "reasoning",
        "seconds",
        "success",
        "tokens",
        "written",
    )

    def __init__(
        self,
        known: Persona | None,
        tokens: Counter,
        input: Counter,
        output: Counter,
        success: Counter,
        seconds: Histogram,
        model: str,
    ) -> None:
        self.known = known
        self.tokens = tokens
        self.input = input
        self.output = output
        self.success = success
        self.seconds = seconds
        self.model = model
        self.cost: Counter | None = None
        self.first_chunk: Histogram | None = None
        self.cached: Counter | None = None
        self.written: Counter | None = None
        self.reasoning: Counter | None = None


class Meter:
    """Writes records into one collector: its counters, histograms and budgets."""

    def __init__(self, collector: PersonaMetricsCollector) -> None:
        self.collector = collector
        self.recorder = collector.recorder
        self.catalogue = collector.catalogue
        self.persona = collector.catalogue.find  # of a name or alias
        self._publisher = collector.core.publisher
        self._epoch: object = None
        self._cells: dict[tuple[str, str, str], _Cells] = {}

    def write(self, record: CallRecord, run: Run | None, exemplar: Exemplar | None) -> tuple[int, ...]:
        """Count the call and debit its tokens; returns the shares (per cent) of a run's budget that it reached."""
        recorder = self.recorder
        persona, chatmode, model, outcome, seconds, usage, nano, _, first, total = record  # a third of the look-ups
        cells = self._cells.get((persona, chatmode, model))
        if cells is None or self._epoch is not recorder.epoch:
            cells = self._learn(record, recorder)
        reached: tuple[int, ...] = ()
        with recorder.lock:
            if seconds is not None:
                cells.seconds.observe(seconds, exemplar)
                if first is not None:
                    if cells.first_chunk is None:
                        cells.first_chunk = recorder.histogram(LLM_FIRST_CHUNK.key, persona, cells.model)
                    cells.first_chunk.observe(max(first, 0.0))
            if outcome == "success":
                cells.success.value += 1
            else:
                recorder.counter(LLM_REQUESTS.key, persona, cells.model, outcome).value += 1
            if isinstance(usage, Usage):
                fresh, cached, written, output, reasoning, _, _ = usage
                cells.tokens.value += total
                cells.input.value += fresh
                cells.output.value += output
                if total != fresh + output:  # most calls have no other parts
                    if cached:
                        if cells.cached is None:
                            cells.cached = recorder.counter(LLM_TOKENS.key, persona, cells.model, TOKEN_KINDS[1])
                        cells.cached.value += cached
                    if written:
                        if cells.written is None:
                            cells.written = recorder.counter(LLM_TOKENS.key, persona, cells.model, TOKEN_KINDS[2])
                        cells.written.value += written
                    if reasoning:
                        if cells.reasoning is None:
                            cells.reasoning = recorder.counter(LLM_TOKENS.key, persona, cells.model, TOKEN_KINDS[4])
                        cells.reasoning.value += reasoning
                known = cells.known
                if known is not None:
                    mine = recorder.run_of(run) if run is not None else recorder.implicit
                    account = mine.accounts.get(persona)
                    used = account.used + total if account is not None else 0
                    if (
                        account is not None
                        and known.window == "run"
                        and used < account.next_threshold
                        and (used <= account.limit or account.exceeded)
                    ):
                        account.used = used  # what `_spend` does where there is nothing to announce
                    else:
                        reached = self._spend(recorder, mine, known, total)
                if nano is not None:
                    if cells.cost is None:
                        cells.cost = recorder.counter(LLM_COST.key, persona, cells.model)
                    cells.cost.value += nano
            elif usage is not None:
                recorder.counter(LLM_USAGE_MISSING.key, persona, cells.model, usage.reason).value += 1
        return reached

    def publish(self) -> None:
        """Publish what was written: before the call returns if that is cheap enough, see `Publisher.publish_call`."""
        publisher = self._publisher
        if publisher is None:
            if not self.recorder.dirty:
                self.recorder.touch()
        elif not self.recorder.dirty or monotonic() >= publisher.next_call:  # otherwise its thread publishes soon
            publisher.publish_call()

    def blocked(self, persona: str, model: str) -> None:
        """Count a call that was refused before it was made."""
        self.recorder.add(1, LLM_REQUESTS.key, persona, self.collector.label("model", model), "blocked")

    def _spend(self, recorder: Recorder, mine: Run, persona: Persona, tokens: int) -> tuple[int, ...]:
        if persona.window != "run":
            recorder.spend(mine, persona, tokens)
            return ()
        account = mine.accounts.get(persona.name) or recorder.account(mine, persona)
        if account.debit(tokens):
            recorder.count_exceeded(persona.name)
        return account.reached() if account.used >= account.next_threshold else ()

    def _learn(self, record: CallRecord, recorder: Recorder) -> _Cells:
        if self._epoch is not recorder.epoch:  # after a fork the cells belong to the parent
            self._epoch, self._cells = recorder.epoch, {}
        mode = self.collector.label("chatmode", record.chatmode)
        model = self.collector.label("model", record.model)
        known = None if record.persona == UNKNOWN else self.catalogue.resolve(record.persona)
        found = _Cells(
            known,
            recorder.counter(TOKENS.key, record.persona, mode, model),
            recorder.counter(LLM_TOKENS.key, record.persona, model, "input"),
            recorder.counter(LLM_TOKENS.key, record.persona, model, "output"),
            recorder.counter(LLM_REQUESTS.key, record.persona, model, "success"),
            recorder.histogram(LLM_DURATION.key, record.persona, model),
            model,
        )
        if OTHER not in (mode, model):  # Don't cache overflow values; they are unbounded.
            self._cells[record.persona, record.chatmode, record.model] = found
        return found
