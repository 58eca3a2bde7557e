"""LangfuseIntegration: traces, spans and generations by hand, over the same spans and sinks as everything else.

ObservableLLM and WorkflowTracer send to Langfuse by themselves; this is for code that drives Langfuse directly.
Nothing here counts tokens or budgets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from ..domain.personas import UNKNOWN
from ..metrics.collector import get_persona_metrics
from ..runtime.logs import log, once
from ..runtime.redaction import redact_name
from ..runtime.settings import disabled
from ..sinks import langfuse
from ..sinks.langfuse_prompts import ChatPrompt, Prompts, TextPrompt
from ..spans import span as spans
from ..spans.values import fit_all
from .describing import attributes
from .describing import messages as content
from .describing.metadata import as_attributes
from .pricing.cost import cost_of
from .reading.records import read_usage
from .reading.usage import Missing, Usage
from .record import CallRecord

FLUSH_SECONDS = 0.45


class SpanContext:
    """A piece of work in a trace; call `end`, or use `with`. Does nothing if Langfuse is off."""

    def __init__(self, name: str, span: spans.OurSpan | None) -> None:
        self.name = name
        self._span = span
        if span is not None:
            span.suspend()  # Never current: it is a parent only where it is named.

    @property
    def id(self) -> str | None:
        """The span's id, or None without a span."""
        return self._span.ids()[1] if self._span is not None else None

    @property
    def trace_id(self) -> str | None:
        """The trace's id, or None without a trace."""
        return self._span.ids()[0] if self._span is not None else None

    def context(self) -> Any:
        """An OpenTelemetry context in which this span is current, or None."""
        return self._span.as_parent() if self._span is not None else None

    def end(self, error: BaseException | None = None, **last: Any) -> None:
        """End the span; only the first call counts. `last` are its last attributes."""
        self._end(error, fit_all(last))

    def _end(self, error: BaseException | None, fitted: Mapping[str, Any]) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(fitted, error, fitted=True)

    def __enter__(self) -> SpanContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)


class TraceContext(SpanContext):
    """A trace: its root span, persona and chatmode."""

    def __init__(self, name: str, span: spans.OurSpan | None, persona: str, chatmode: str) -> None:
        super().__init__(name, span)
        self.persona = persona
        self.chatmode = chatmode


class GenerationContext(SpanContext):
    """One generation, already ended."""


class LangfuseIntegration:
    """Sends to the Langfuse server whose keys are given, else named by LANGFUSE_PUBLIC_KEY, _SECRET_KEY and _HOST.

    `enabled` says whether there are keys. A process sends to one server: the keys in use first stay. Never raises
    for anything that the server does; an unknown persona is a ValueError.
    """

    def __init__(self, public_key: str | None = None, secret_key: str | None = None, host: str | None = None) -> None:
        keys = None if disabled() else langfuse.from_environment(public_key, secret_key, host)
        self._sink = spans.open_langfuse(keys) if keys is not None else None
        self.enabled = self._sink is not None
        self._prompts = Prompts(keys)
        if keys is None:
            if "langfuse-off" not in _said:
                _said.add("langfuse-off")
                log.info("Langfuse is off: LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are not both set")
        elif self._sink is not None and self._sink.keys != keys:
            once.warn(
                "langfuse-keys",
                f"this process sends to Langfuse as {self._sink.keys.public} already; other keys are not used",
            )

    def __deepcopy__(self, memo: dict[int, object]) -> LangfuseIntegration:
        """Itself: a process has one connection."""
        return self

    def __reduce__(self) -> tuple[Callable[[], LangfuseIntegration], tuple[()]]:
        """In another process, the integration of that process, with the keys of its environment."""
        return get_langfuse_integration, ()

    def start_trace(
        self, name: str, persona: str = UNKNOWN, chatmode: str = "default", metadata: Mapping[str, Any] | None = None
    ) -> TraceContext:
        """A trace of its own; the persona is its user, the chatmode a tag."""
        who = UNKNOWN if persona == UNKNOWN else get_persona_metrics().catalogue.resolve(persona).name
        return TraceContext(
            name, self._start(name, who, chatmode, metadata, {"langfuse.trace.name": name}, None), who, chatmode
        )

    def start_span(self, trace: TraceContext, name: str, metadata: Mapping[str, Any] | None = None) -> SpanContext:
        """A span in the trace."""
        return SpanContext(
            name, self._start(name, trace.persona, trace.chatmode, metadata, {"langfuse.trace.name": trace.name}, trace)
        )

    def end_span(self, span: SpanContext) -> None:
        """The same as `span.end()`."""
        span.end()

    def create_generation(
        self,
        trace: TraceContext,
        name: str,
        model: str,
        prompt: Any = None,
        completion: Any = None,
        usage: Mapping[str, Any] | Usage | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> GenerationContext:
        """A generation in the trace. `usage` is a provider's usage record, as a mapping; contents only by choice.

        `metadata["langfuse_prompt"]` links it to a prompt of Langfuse's: its object, or a mapping of name and version.
        """
        about: dict[str, Any] = {
            "langfuse.trace.name": trace.name,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
        }
        span = self._start(name, trace.persona, trace.chatmode, metadata, about, trace)
        made = GenerationContext(name, span)
        if span is not None:
            found: Usage | Missing | None = usage if usage is None or isinstance(usage, Usage) else read_usage(usage)
            cost = cost_of(model, found) if isinstance(found, Usage) else None
            total = found.total if isinstance(found, Usage) else 0
            record = CallRecord(trace.persona, trace.chatmode, model, "success", 0.0, found, cost, None, total=total)
            last = attributes.at_end(record, None)
            if content.captures():
                last["gen_ai.input.messages"] = content.input_messages(prompt)
                last["gen_ai.output.messages"] = content.output_messages(completion)
            span.end(last, fitted=True, langfuse=lambda: attributes.for_langfuse(found, cost))
        return made

    def end_trace(self, trace: TraceContext, status: str = "success", output: Any = None) -> None:
        """End the trace; any other status than "success" marks it as an error."""
        last: dict[str, Any] = {"hypertool.status": redact_name(status)}
        if status != "success":
            last["langfuse.observation.level"] = "ERROR"
        if output is not None and content.captures():
            last["gen_ai.output.messages"] = content.output_messages(output)
        trace._end(None, last)

    def prompt(
        self,
        name: str,
        /,
        version: int | None = None,
        label: str | None = None,
        *,
        fallback: str | Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> TextPrompt | ChatPrompt:
        """A prompt of Langfuse's prompt management, its `{{variables}}` filled in; needs the extra `langfuse`.

        `version` or `label` choose one (the label `production` otherwise). It is fetched once, kept for a minute and
        then renewed beside the call; what is kept goes on being used while the server is away. `fallback` (text or
        messages, with the same variables) is used where nothing was ever fetched. Handed to an observed call, or as
        `metadata={"langfuse_prompt": prompt}`, it links the generation to prompt and version.

        Raises PromptUnavailable if there is neither prompt nor fallback.
        """
        return self._prompts.get(name, version, label, fallback, variables)

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Send what is queued; waits at most `timeout` seconds and says whether all of it was resolved."""
        return self._sink.flush(timeout) if self._sink is not None else True

    def _start(
        self,
        name: str,
        persona: str,
        chatmode: str,
        metadata: Mapping[str, Any] | None,
        more: dict[str, Any],
        parent: SpanContext | None,
    ) -> spans.OurSpan | None:
        if not self.enabled:
            return None
        about = {"gen_ai.agent.name": persona, "hypertool.chatmode": chatmode, **more}
        about.update(as_attributes(metadata or {}))
        return spans.start(name, lambda: about, parent.context() if parent is not None else None)


_said: set[str] = set()
_shared: LangfuseIntegration | None = None
_lock = threading.Lock()


def get_langfuse_integration() -> LangfuseIntegration:
    """The integration of this process, with the keys of the environment."""
    global _shared
    if _shared is None:
        with _lock:
            if _shared is None:
                _shared = LangfuseIntegration()
    return _shared
