"""The life of one LLM call: its caller, reservation and span, and the single record written when it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import partial
from time import perf_counter, time, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from ...domain.personas import UNKNOWN
from ...errors import TokenBudgetExceeded
from ...metrics.collector import PersonaMetricsCollector, get_persona_metrics
from ...recording.ambient import CHATMODE, PERSONA, RUN, STAGE, current_place
from ...runtime.logs import log, once
from ...sinks.langfuse_prompts import ChatPrompt, TextPrompt
from ...spans import span as spans
from ..describing import attributes
from ..describing import messages as content
from ..describing.metadata import PROMPT
from ..reading.usage import Reading, Usage
from ..record import CallRecord, Meter, make_record
from . import twice
from .reservations import Reservation, reserve

if TYPE_CHECKING:
    from ...domain.personas import Persona
    from ...recording.cells import Exemplar
    from ...recording.runs import Run

_LINKED = frozenset({TextPrompt, ChatPrompt})
_STOPPED = (GeneratorExit, KeyboardInterrupt)
_NONE: Mapping[str, Any] = {}
_CALL: ContextVar[Call | None] = ContextVar("hypertool_llm_call", default=None)


def current_call() -> Call | None:
    """The observed call in whose context this code runs, or None."""
    return _CALL.get()


def is_cancelled(error: BaseException) -> bool:
    """Whether an exception means that its call was cancelled; does not load asyncio for this."""
    if isinstance(error, _STOPPED):
        return True
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


class Setting(NamedTuple):
    """The settings of one wrapper, the same for all its calls. `model` None: each call names its own model."""

    model: str | None
    provider: str | None
    persona: str | None
    chatmode: str | None
    metrics: PersonaMetricsCollector | None
    counts: bool
    langfuse: bool


class Caller:
    """The wrapper's side of its calls; expensive look-ups wait for the first call."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.span_name = f"chat {setting.model}" if setting.model else None
        self._meter: Meter | None = None
        self.work = ""  # names the called function: calls of the same one are siblings, not nested

    @property
    def meter(self) -> Meter:
        """The meter that counts its calls, made at the first use."""
        if self._meter is None:
            self._meter = Meter(self.setting.metrics or get_persona_metrics())
        return self._meter

    def call(
        self,
        persona: str | None,
        chatmode: str | None,
        prompt: Any,
        arguments: Mapping[str, Any],
        trace: Any = None,
        metadata: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Call:
        """A call, not yet started. Raises ValueError for an unknown persona, TypeError for a name that is no string."""
        setting, meter = self.setting, self._meter or self.meter
        run = RUN.get()
        session = meter.recorder.implicit.session if run is None else None
        if run is None and STAGE.get() is None:  # what `current_place` says there, with a call less
            active, mode = PERSONA.get(), CHATMODE.get()
        else:
            active, mode = current_place()
        if chatmode is None:
            chatmode = mode or setting.chatmode
            if chatmode is None or (chatmode == "default" and session is not None):
                chatmode = session.chatmode if session is not None else "default"
        elif not isinstance(chatmode, str):
            raise TypeError(f"chatmode must be a string, not {chatmode!r:.60}")
        name = persona if persona is not None else active or setting.persona
        if name is None or (name == UNKNOWN and persona is None):
            name = session.persona if session is not None else UNKNOWN
        known = None
        if name != UNKNOWN:
            known = (meter.persona(name) if type(name) is str else None) or meter.catalogue.for_call(name)
        call = Call(self, meter, known, chatmode, run, prompt, arguments, trace, metadata, setting.model or model or "")
        if run is not None or active is not None or mode is not None:
            call.inherited = True
        return call


class Call:
    """One call: `start`, then `enter` and `leave` around every step of its work, then `finish`, which counts once."""

    # Class-level defaults: most calls never set these, and every request makes a Call.
    _reservation: Reservation | None = None
    _span: spans.OurSpan | None = None
    _context: Any = None
    _output: str | None = None
    _token: Token[Call | None] | None = None
    started = last = 0.0
    first: float | None = None
    done = covered = touched = False
    # Whether the context that it began in was inherited: then an enclosing call would be known.
    inherited = False
    metered_usage = False
    inner: list[Callable[[], None]] | None = None

    def __init__(
        self,
        caller: Caller,
        meter: Meter,
        known: Persona | None,
        chatmode: str,
        run: Run | None,
        prompt: Any,
        arguments: Mapping[str, Any],
        trace: Any,
        metadata: Mapping[str, Any] | None,
        model: str,
    ) -> None:
        self.caller = caller
        self.model = model
        self._meter = meter
        self.persona = known.name if known is not None else UNKNOWN
        self._known = known
        self.chatmode = chatmode
        self._run = run
        self._parent = _CALL.get()
        self._prompt = prompt
        self._arguments = arguments
        self._trace = trace
        self._metadata = metadata
        self.pending: list[tuple[Call, CallRecord, int]] = []  # other threads of this call append to it

    def add_inner(self, count: Callable[[], None]) -> bool:
        """Register a foreign span with usage inside this call; `count` runs if this call has no usage of its own.

        Returns False if the call has already ended.
        """
        if self.done:
            return False
        if self.inner is None:
            self.inner = []
        self.inner.append(count)
        return True

    def remember_place(self) -> None:
        """Keep the current span as the parent of a call that starts later, perhaps in another context."""
        context = sys.modules.get("opentelemetry.context")
        if context is not None:
            self._context = context.get_current()

    def start(self) -> None:
        """Reserve tokens, begin the span, start the clock. Raises TokenBudgetExceeded: then do not make the call."""
        setting = self.caller.setting
        known = self._known
        if known is not None and setting.counts and known.on_exceed == "block":
            meter = self._meter
            parent = self._active_parent()
            if parent is not None:
                parent.give_back(None)  # this call uses what the enclosing call reserved
            try:
                self._reservation = reserve(meter.collector, known, self._run, self._prompt, self._arguments)
            except TokenBudgetExceeded:
                self.done = True
                if parent is not None:
                    parent.touched = True
                meter.blocked(self.persona, self.model or UNKNOWN)
                raise
        if not spans.untraced():
            context = self._context
            if self._prompt.__class__ in _LINKED:
                self._metadata = {PROMPT: self._prompt, **(self._metadata or _NONE)}
            if self._trace is not None:
                in_trace = getattr(self._trace, "context", None)  # a TraceContext or SpanContext
                context = in_trace() if callable(in_trace) else context
            of = (
                self.model or UNKNOWN,
                setting.provider,
                self.persona,
                self.chatmode,
                self._run,
                self._prompt,
                self._arguments,
                self._metadata,
            )
            self._span = spans.start(
                self.caller.span_name or f"chat {self.model}".rstrip(),
                attributes.at_start,
                context,
                calls_out=True,
                to_langfuse=setting.langfuse,
                current=False,
                fitted=True,
                of=of,
            )
        self._context = self._trace = None
        self._arguments = _NONE
        self.started = perf_counter()

    def enter(self) -> None:
        """Make this call the current one in this context."""
        self._token = _CALL.set(self)
        if self._span is not None:
            self._span.activate()

    def leave(self) -> None:
        """Restore the caller's context."""
        token, self._token = self._token, None
        here = token is not None
        if token is not None:
            try:
                _CALL.reset(token)
            except ValueError:  # closed by another task, or by the garbage collector
                here = False
                if _CALL.get() is self:
                    _CALL.set(None)
        if self._span is not None:
            self._span.suspend(here)

    def fail(self, error: BaseException) -> None:
        """Leave the call's context, and end the call with the error that its function raised."""
        self.leave()
        self.finish(None, error)

    def give_back(self, used: int | None) -> None:
        """Release the reservation, if there is one."""
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            collector = self._meter.collector
            with collector.recorder.lock:
                reservation.release(used)
            if reservation.shared:
                collector.publish_soon()

    def finish(
        self,
        reading: Reading | None,
        error: BaseException | None = None,
        *,
        outcome: str | None = None,
        output: Any = None,
    ) -> None:
        """End the call and count it once; calling this again does nothing. Never raises."""
        if self.done:
            return
        self.done = True
        seconds = (self.last or perf_counter()) - self.started
        if outcome is None:
            outcome = "success" if error is None else "cancelled" if is_cancelled(error) else "error"
        try:
            # If neither wrapper nor arguments named a model, take the one that answered.
            model = self.model or (reading.model if reading is not None else None) or UNKNOWN
            seconds = seconds if seconds > 0.0 else 0.0
            record = make_record(self.persona, self.chatmode, model, outcome, seconds, reading, self.first)
            if output is not None and self._span is not None and content.captures():
                self._output = content.output_messages(output)
            if self.inner is not None and record.counted is None and not self.covered:
                self.covered = True  # the calls are the spans that others measured inside it
                for count in self.inner:
                    count()
            self.metered_usage = self.covered or record.total > 0
            if self._parent is not None or self.pending or self.covered or self.touched:
                self._settle(record, error, output)
            elif twice.seen_inside(self.caller.work, self.started, record, output, self.inherited):
                self._end_as_agent(error)
            else:  # the common case: not nested, and no nested call known
                self.count(record, error, None)
        except Exception as broken:  # a failure of the instrumentation must not reach the caller
            once.warn("llm-finish", f"an LLM call could not be recorded: {type(broken).__name__}: {broken}")
            self.give_back(None)

    def _active_parent(self) -> Call | None:
        parent = self._parent
        while parent is not None and parent.done:
            parent = parent._parent
        return parent

    def _settle(self, record: CallRecord, error: BaseException | None, output: Any = None) -> None:
        parent = self._active_parent()
        usage = record.counted
        if self.covered or (usage is None and (self.touched or self.pending)):
            self._end_as_agent(error)
            for call, waiting, ended in self.pending:  # the pending calls were the innermost ones
                if self.covered or parent is None:
                    call.count(waiting, None, ended)
                else:
                    parent.pending.append((call, waiting, ended))
            if parent is not None:
                parent.covered = parent.covered or self.covered
                parent.touched = parent.touched or self.touched
            return
        if parent is not None and usage is None and record.outcome == "success":
            # Only the end of the enclosing call shows whether this is a call of its own or a part of that one.
            self.give_back(None)
            parent.pending.append((self, record, time_ns()))
            return
        if parent is not None:
            parent.covered = parent.covered or usage is not None
            parent.touched = True
        if twice.seen_inside(self.caller.work, self.started, record, output, self.inherited):
            self._end_as_agent(error)
        else:
            self.count(record, error, None)
        for call, _, ended in self.pending:
            call._end_as_agent(None, ended)

    def count(self, record: CallRecord, error: BaseException | None, ended: int | None) -> None:
        """Write the record to the metrics, the budget and the span."""
        span = self._span
        counts, meter = self.caller.setting.counts, self._meter
        if counts:
            seconds, exemplar = record.seconds, None
            if seconds is not None and (span is not None or "opentelemetry.trace" in sys.modules):
                exemplar = (span or meter.recorder).exemplar(seconds)
            known = self._known
            plain = self._reservation is None and (known is None or known.window == "run")
            for share in meter.write(record, self._run, exemplar) if plain else self._debit(record, exemplar):
                self._tell(share)
        if span is None:
            if counts:
                meter.publish()
            return
        try:
            self._end_span(span, record, error, ended)
        finally:
            if counts:  # last, so that the snapshot covers the span
                meter.publish()

    def _end_span(
        self, span: spans.OurSpan, record: CallRecord, error: BaseException | None, ended: int | None
    ) -> None:
        last = attributes.at_end(record, self.caller.setting.provider)
        if self._output is not None:
            last["gen_ai.output.messages"] = self._output
        first = record.first_chunk
        if first is not None:
            first += time() - (perf_counter() - self.started)
        span.end(last, error, ended, True, partial(attributes.for_langfuse, record.usage, record.nano_usd, first))

    def _debit(self, record: CallRecord, exemplar: Exemplar | None) -> tuple[int, ...]:
        """Count the call and settle its reservation; returns the budget shares (per cent) that it reached."""
        meter, known = self._meter, self._known
        reservation, self._reservation = self._reservation, None
        if reservation is None:
            reached = meter.write(record, self._run, exemplar)
        else:
            with meter.recorder.lock:  # one lock: no other call sees these tokens twice, or not at all
                reached = meter.write(record, self._run, exemplar)
                reservation.release(record.total if isinstance(record.usage, Usage) else None)
        if known is not None and known.window != "run" and record.counted is not None:
            return meter.collector.core.shares_reached(known)
        return reached

    def _tell(self, share: int) -> None:
        known = self._known
        assert known is not None
        limit = known.tokens_in(self._run.workflow if self._run is not None else None)
        log.info("%s has used %d %% of its budget of %d tokens (window: %s)", self.persona, share, limit, known.window)
        if self._span is not None:
            self._span.event(
                "budget_threshold", {"persona": self.persona, "percent": share, "limit": limit, "window": known.window}
            )

    def _end_as_agent(self, error: BaseException | None, ended: int | None = None) -> None:
        self.give_back(None)
        if self._span is not None:
            self._span.rename(f"invoke_agent {self.persona}")
            last = {"gen_ai.operation.name": "invoke_agent"}
            if self.caller.setting.provider is None:
                last["gen_ai.provider.name"] = attributes.OTHER_PROVIDER
            if self._output is not None:
                last["gen_ai.output.messages"] = self._output
            self._span.end(last, error, ended, True, attributes.agent_for_langfuse)
