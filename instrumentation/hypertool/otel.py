"""GenAISpanProcessor: metrics and budgets from the GenAI spans that an application already makes.

    from opentelemetry.sdk.trace import TracerProvider
    from hypertool.otel import GenAISpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(GenAISpanProcessor())

A span that reports its usage (`gen_ai.usage.*`, or OpenInference's or OpenLLMetry's names) is one LLM call. Each call
counts once: the processor skips spans around a counted one (agents, frameworks), calls that Hypertool observes itself,
and further spans with the same response id.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from opentelemetry.sdk.trace import SpanProcessor

from .llm.calls.call import current_call
from .llm.foreign_spans import describe
from .llm.record_call import count_call
from .metrics.collector import PersonaMetricsCollector, get_persona_metrics
from .recording.ambient import RUN, current_place
from .runtime.light_typing import TYPE_CHECKING, Any
from .runtime.logs import once

if TYPE_CHECKING:
    from .llm.calls.call import Call
    from .recording.runs import Run

_OPEN_SPANS = 10_000
_RESPONSES = 4_096
_OURS = "hypertool.chatmode"


class _Open:
    """A span in progress: its parent, persona, chatmode and run, and whether a span inside it was counted."""

    __slots__ = ("call", "chatmode", "covered", "parent", "persona", "run")

    def __init__(self, parent: int | None, persona: str | None, chatmode: str | None, run: Run | None) -> None:
        self.parent = parent
        self.persona = persona
        self.chatmode = chatmode
        self.run = run
        self.call: Call | None = current_call()
        self.covered = False


class GenAISpanProcessor(SpanProcessor):
    """A span processor for an application's TracerProvider; it exports nothing and never raises.

    `persona` applies to calls for which neither the span (`gen_ai.agent.name`) nor the context names a known persona.
    Raises ValueError for an unknown `persona`.
    """

    def __init__(self, persona: str | None = None, metrics: PersonaMetricsCollector | None = None) -> None:
        self._metrics = metrics or get_persona_metrics()
        if persona is not None:
            self._metrics.catalogue.for_call(persona)
        self._persona = persona
        self._lock = threading.Lock()
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._responses: OrderedDict[str, None] = OrderedDict()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Remember where a span begins: its parent, persona and run."""
        try:
            persona, chatmode = current_place()
            parent = span.parent.span_id if span.parent is not None else None
            opened = _Open(parent, persona, chatmode, RUN.get())
            with self._lock:
                self._open[span.context.span_id] = opened
                if len(self._open) > _OPEN_SPANS:
                    self._open.popitem(last=False)
        except Exception as error:
            self._say(error)

    def on_end(self, span: Any) -> None:
        """Count the span if it is an LLM call that nothing else has counted."""
        try:
            self._end(span)
        except Exception as error:
            self._say(error)

    def shutdown(self) -> None:
        """Publish the counts."""
        self._metrics.flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Publish the counts."""
        return self._metrics.flush()

    def _end(self, span: Any) -> None:
        attributes = span.attributes or {}
        with self._lock:
            opened = self._open.pop(span.context.span_id, None)
        if _OURS in attributes:  # counted by the wrapper that made it
            if opened is not None:
                self._cover(opened)
            self._seen(attributes.get("gen_ai.response.id"))
            return
        found = describe(span, attributes)
        if found is None:
            return
        if opened is not None and opened.covered:
            return
        known = found.usage is not None
        if known and self._seen(found.response_id):
            if opened is not None:
                self._cover(opened)
            return

        def count() -> None:
            persona, chatmode = self._place(found.agent, opened)
            count_call(
                self._metrics,
                persona,
                chatmode,
                found.model,
                found.usage,
                found.seconds,
                found.outcome,
                first_chunk=found.first_chunk,
                response_model=found.response_model,
                run=opened.run if opened is not None else None,
            )

        call = opened.call if opened is not None else None
        if call is not None and (call.metered_usage or (not call.done and known and call.add_inner(count))):
            return  # the enclosing observed call has counted this usage, or decides at its end
        if call is not None and not call.done and not known:
            return
        if opened is not None and known:
            self._cover(opened)
        count()

    def _cover(self, opened: _Open) -> None:
        """Mark the enclosing spans: they repeat the usage of a counted span, or sum up several."""
        with self._lock:
            parent = opened.parent
            while parent is not None:
                around = self._open.get(parent)
                if around is None or around.covered:
                    return
                around.covered = True
                parent = around.parent

    def _seen(self, response: Any) -> bool:
        """Whether this response id was counted before; marks it as counted."""
        if not isinstance(response, str) or not response:
            return False
        with self._lock:
            if response in self._responses:
                return True
            self._responses[response] = None
            if len(self._responses) > _RESPONSES:
                self._responses.popitem(last=False)
        return False

    def _place(self, agent: Any, opened: _Open | None) -> tuple[str | None, str | None]:
        catalogue = self._metrics.catalogue
        named = catalogue.find(agent) if isinstance(agent, str) else None
        active = opened.persona if opened is not None else None
        return (named.name if named is not None else active or self._persona), opened.chatmode if opened else None

    def _say(self, error: Exception) -> None:
        once.warn("genai-span", f"a span could not be counted: {type(error).__name__}: {error} (logged once)")
