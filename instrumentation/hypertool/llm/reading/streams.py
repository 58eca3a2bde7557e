"""The usage of a streamed call, gathered chunk by chunk at the price of a table look-up for those that say nothing.

Where it comes from: OpenAI chat (with `include_usage`) a last chunk without choices, OpenAI responses the closing
event, Anthropic `message_start` (input) and `message_delta` (cumulative), Gemini every chunk (the last one counts),
Bedrock converse the `metadata` event, Bedrock invoke the metrics in the last chunk, LangChain the sum of all chunks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from . import responses as shapes
from . import usage_records as records
from .extract import base_named, litellm_provider
from .usage import INVALID, NO_USAGE, STREAM_CUT, UNRECOGNISED, Missing, Reading, Usage
from .usage_records import BadCount, Record, usage_of
from .view import view

Step = Callable[["StreamReader", Any], None]

_LIMIT = 1024
_METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_BYTES = _METRICS.encode()
_CLOSING = ("response.completed", "response.incomplete", "response.failed")


class StreamReader:
    """Feed it every chunk of one stream, then ask. It keeps counts only, never chunks; it never raises."""

    __slots__ = (
        "_broken",
        "_id",
        "_known",
        "_model",
        "_needs_end",
        "_provider",
        "_read",
        "_reasons",
        "_record",
        "_tier",
        "settled",
    )

    def __init__(self) -> None:
        self.settled = False
        """Whether the final usage has been seen: a consumer who stops now has missed nothing."""
        self._record: dict[str, Any] | Record | None = None
        self._read: Callable[[Record], Usage | Missing] = records.chat
        self._known = self._broken = self._needs_end = False
        self._model: str | None = None
        self._id: str | None = None
        self._provider: str | None = None
        self._tier: str | None = None
        self._reasons: tuple[str, ...] = ()

    def feed(self, chunk: Any) -> None:
        """Take what `chunk` says."""
        try:
            (_steps.get(type(chunk)) or _learn(type(chunk)))(self, chunk)
        except BadCount:
            self._read, self.settled = _invalid, True
        except Exception:  # a foreign object may raise anything when it is looked at; `finish` says it
            self._broken = True

    def finish(self, complete: bool = True) -> Reading:
        """The reading so far; `complete` says that the stream ran to its end and was neither cut nor abandoned."""
        usage: Usage | Missing
        if self._read is _invalid:
            usage = INVALID
        elif self._broken and not self.settled:
            usage = UNRECOGNISED
        elif self._record is None:
            if not complete or self._needs_end:
                usage = NO_USAGE if self.settled else STREAM_CUT
            else:
                usage = NO_USAGE if self._known else UNRECOGNISED
        elif not self.settled and (not complete or self._needs_end):
            usage = STREAM_CUT
        else:
            usage = usage_of(self._read, self._record)
        return Reading(usage, self._model, self._id, self._reasons, self._provider, self._tier)

    def take(self, record: Any, read: Callable[[Record], Usage | Missing], final: bool) -> None:
        """Remember `record` in place of the one before it."""
        if self._read is _invalid:
            return
        self._record, self._read, self.settled = record, read, self.settled or final

    def start(self, model: Any, identity: Any, provider: str | None) -> None:
        """What the first chunk says about the call."""
        self._known = True
        self._model, self._id = shapes.text(model), shapes.text(identity)
        self._provider = provider


def _invalid(record: Record) -> Usage | Missing:
    return INVALID


def _ignore(reader: StreamReader, chunk: Any) -> None:
    reader._known = True


def _chat(reader: StreamReader, fields: Mapping[str, Any], provider: str | None = None) -> None:
    choices = fields.get("choices")
    if choices:
        first = choices[0]
        # LiteLLM's choices declare no field at all, so that their __dict__ is empty.
        if (first if type(first) is dict else first.__dict__ or view(first)).get("finish_reason") is not None or len(
            choices
        ) > 1:
            reader._reasons += shapes.reasons(choices)
    if reader._model is None:
        reader.start(fields.get("model"), fields.get("id"), provider)
    usage = fields.get("usage")
    if usage is not None:
        # Some servers repeat a growing count on every chunk; it is final once there is nothing left to say.
        reader.take(usage, records.chat, not choices or bool(reader._reasons))
        reader._tier = shapes.tier(fields.get("service_tier"))


def _openai_chunk(reader: StreamReader, chunk: Any) -> None:
    fields = chunk.__dict__
    choices = fields.get("choices")
    if (
        reader._model is None
        or not choices
        or len(choices) != 1
        or fields.get("usage") is not None
        or choices[0].__dict__.get("finish_reason") is not None
    ):
        _chat(reader, fields, "openai")  # otherwise it says nothing, as most chunks


def _openai_event(reader: StreamReader, event: Any) -> None:
    _chat(reader, view(event.chunk), "openai")


def _mistral_event(reader: StreamReader, event: Any) -> None:
    _chat(reader, view(event.data), "mistral_ai")


def _litellm_chunk(reader: StreamReader, chunk: Any) -> None:
    _chat(reader, view(chunk), litellm_provider(chunk) if reader._model is None else None)


def _responses_start(reader: StreamReader, event: Any) -> None:
    response = view(view(event).get("response"))
    reader.start(response.get("model"), response.get("id"), "openai")
    reader._needs_end = True


def _responses_end(reader: StreamReader, event: Any) -> None:
    response = view(view(event).get("response"))
    reader._known = True
    whole = shapes.responses(response, "openai")
    reader._model, reader._id, reader._reasons = whole.model, whole.id, whole.finish_reasons
    reader._provider, reader._tier = whole.provider, whole.service_tier
    reader.take(response.get("usage"), records.responses, True)


def _anthropic_start(reader: StreamReader, event: Any) -> None:
    message = view(view(event).get("message"))
    reader.start(message.get("model"), message.get("id"), "anthropic")
    usage = view(message.get("usage"))
    reader._tier = shapes.anthropic_tier(usage)
    reader._needs_end = True
    reader.take({key: value for key, value in usage.items() if value is not None}, records.anthropic, False)


def _anthropic_delta(reader: StreamReader, event: Any) -> None:
    fields = view(event)
    stop = shapes.text(view(fields.get("delta")).get("stop_reason"))
    if stop:
        reader._reasons = (stop,)
    usage = view(fields.get("usage"))
    so_far = dict(reader._record or {})
    for key, value in usage.items():
        before = so_far.get(key)
        # Counts are cumulative; gateways that send 0 for those they do not repeat must not take them back.
        if value is not None and not (type(value) is int and type(before) is int and 0 <= value < before):
            so_far[key] = value
    reader._known, reader._needs_end = True, True
    reader._provider = reader._provider or "anthropic"
    reader._tier = shapes.anthropic_tier(so_far)
    reader.take(so_far, records.anthropic, "output_tokens" in usage)


def _gemini(reader: StreamReader, chunk: Any) -> None:
    reading = shapes.gemini(fields := view(chunk), None)
    reader._known = True
    reader._model, reader._id = reading.model or reader._model, reading.id or reader._id
    reader._reasons += reading.finish_reasons
    reader._provider, reader._tier = reading.provider, reading.service_tier or reader._tier
    record = fields.get("usage_metadata") or fields.get("usageMetadata")
    if record is not None:
        reader.take(record, records.gemini, bool(reader._reasons))


def _converse(reader: StreamReader, event: Mapping[str, Any]) -> bool:
    if "metadata" in event:
        about = view(event["metadata"])
        if "usage" not in about:
            return False
        reader.take(about["usage"], records.converse, True)
        reader._tier = shapes.tier(view(about.get("serviceTier")).get("type"))
    elif "messageStop" in event:
        stop = shapes.text(view(event["messageStop"]).get("stopReason"))
        reader._reasons += (stop,) if stop else ()
    elif not (
        "contentBlockDelta" in event
        or "messageStart" in event
        or "contentBlockStart" in event
        or "contentBlockStop" in event
    ):
        return False
    reader._known, reader._provider = True, "aws.bedrock"
    return True


def _invoke(reader: StreamReader, data: Any) -> None:
    reader._known, reader._provider = True, "aws.bedrock"
    if isinstance(data, (bytes, bytearray)) and _METRICS_BYTES in data:
        reader.take(view(json.loads(data)).get(_METRICS), records.converse, True)


def _langchain(reader: StreamReader, chunk: Any) -> None:
    fields = view(chunk)
    about = fields.get("response_metadata")
    reader._known = True
    if about:
        reading = shapes.langchain({"response_metadata": about}, None)
        reader._model, reader._provider = reader._model or reading.model, reader._provider or reading.provider
        reader._reasons += reading.finish_reasons
        reader._tier = reader._tier or reading.service_tier
    if reader._id is None:
        reader._id = shapes.text(fields.get("id"))
    usage = fields.get("usage_metadata")
    if usage is not None:
        last = bool(reader._reasons) or fields.get("chunk_position") == "last"
        reader.take(records.added(reader._record or {}, view(usage)), records.langchain, last)


def _langchain_generation(reader: StreamReader, chunk: Any) -> None:
    _langchain(reader, view(chunk).get("message"))


def _mapping(reader: StreamReader, chunk: Any) -> None:
    """A plain dict, or the fields of an object nobody knows."""
    fields = view(chunk)
    if "choices" in fields:
        return _chat(reader, fields)
    kind = fields.get("type")
    if type(kind) is str:
        step = _EVENTS.get(kind)
        if step is not None:
            return step(reader, fields)
        if kind.startswith(("response.", "content_block_")) or kind == "ping":
            return _ignore(reader, fields)
    if "candidates" in fields or "usageMetadata" in fields:
        return _gemini(reader, fields)
    if "usage_metadata" in fields:
        known = "response_metadata" in fields or "input_tokens" in view(fields["usage_metadata"])
        return _langchain(reader, fields) if known else _gemini(reader, fields)
    if "chunk" in fields:
        return _invoke(reader, view(fields["chunk"]).get("bytes"))
    if _converse(reader, fields):
        return None
    usage = fields.get("usage")
    if usage is not None:
        read = (lambda _: usage) if isinstance(usage, Usage) else records.reader_of(view(usage))
        if read is not None:
            reader._known = True
            reader.take(usage, read, True)
    return None


_EVENTS: dict[str, Step] = {
    "message_start": _anthropic_start,
    "message_delta": _anthropic_delta,
    "message_stop": _ignore,
    "response.created": _responses_start,
    **dict.fromkeys(_CLOSING, _responses_end),
}

# (top package, class) -> what to do with an instance. Other classes of these packages' streams say nothing.
STEPS: dict[tuple[str, str], Step] = {
    **dict.fromkeys(
        (("openai", "ChatCompletionChunk"), ("openai", "ChatCompletion"), ("openai", "Completion")), _openai_chunk
    ),
    ("openai", "ChunkEvent"): _openai_event,
    ("openai", "ResponseCreatedEvent"): _responses_start,
    **dict.fromkeys(
        (
            ("openai", "ResponseCompletedEvent"),
            ("openai", "ResponseIncompleteEvent"),
            ("openai", "ResponseFailedEvent"),
        ),
        _responses_end,
    ),
    **dict.fromkeys(
        (("anthropic", "RawMessageStartEvent"), ("anthropic", "BetaRawMessageStartEvent")), _anthropic_start
    ),
    **dict.fromkeys(
        (("anthropic", "RawMessageDeltaEvent"), ("anthropic", "BetaRawMessageDeltaEvent")), _anthropic_delta
    ),
    ("google", "GenerateContentResponse"): _gemini,
    ("mistralai", "CompletionEvent"): _mistral_event,
    **dict.fromkeys(
        (("litellm", "ModelResponseStream"), ("litellm", "ModelResponse"), ("litellm", "TextCompletionResponse")),
        _litellm_chunk,
    ),
    ("langchain_core", "AIMessage"): _langchain,
    ("langchain_core", "ChatGenerationChunk"): _langchain_generation,
}
_steps: dict[type, Step] = {}


def _learn(kind: type) -> Step:
    if len(_steps) >= _LIMIT:
        _steps.clear()
    if issubclass(kind, (str, bytes, bytearray, int, float, type(None))):
        step: Step = _ignore
    else:
        silent = kind.__module__.partition(".")[0] in ("openai", "anthropic")
        step = base_named(kind, STEPS) or (_ignore if silent else _mapping)
    _steps[kind] = step
    return step
