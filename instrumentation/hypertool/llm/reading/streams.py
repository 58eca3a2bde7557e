"""The usage of a streamed call, gathered chunk by chunk; a chunk without usage costs one table look-up.

This is the table of chunks. The file of each shape says what its chunks report, and whether their counts are
cumulative, repeated, or to be added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import billing, containers, langchain_messages, records
from .answers import Answers, Step
from .classes import base_named, litellm_provider
from .counts import BadCount, ReadRecord
from .fields import text
from .responses import CLASSES, ID_NAMES, MODEL_NAMES, PROVIDERS, by_keys
from .shapes import anthropic, bedrock, cohere, gemini, local_servers, ollama, openai_chat, openai_responses, others
from .usage import Usage
from .view import view

_LIMIT = 1024


class StreamReader(Answers):
    """Feed it every chunk of one stream, then call `finish`. It keeps counts only, never chunks, and never raises."""

    __slots__ = ()

    def feed(self, chunk: Any) -> None:
        """Take the counts of `chunk`."""
        try:
            (_steps.get(type(chunk)) or _learn(type(chunk)))(self, chunk)
        except BadCount:
            self.spoil()
        except Exception:  # a foreign object may raise anything when inspected; `finish` reports it
            self.broken = True


def is_chunk(value: Any) -> bool:
    """Whether `value`, the first item of a list, is a chunk of a stream and not a response."""
    fields = view(value)
    if fields.get("type") == "AIMessageChunk":
        return True
    if type(value) is not dict and base_named(type(value), STEPS) is not None:
        whole = base_named(type(value), CLASSES)
        return whole is None or whole[0] is gemini.response
    if str(fields.get("object", "")).endswith(".chunk") or "candidates" in fields or "usageMetadata" in fields:
        return True
    kind = fields.get("type")
    if (type(kind) is str and kind in EVENTS) or "messageStart" in fields or fields.get("done") is False:
        return True
    return "bytes" in view(fields.get("chunk"))


def _ignore(answers: Answers, chunk: Any) -> None:
    answers.known = True


def _litellm_chunk(answers: Answers, chunk: Any) -> None:
    openai_chat.step(answers, view(chunk), litellm_provider(chunk) if answers.ended else None)


def _mapping(answers: Answers, chunk: Any) -> None:
    """A plain dict, or the fields of an object of an unknown class."""
    fields = view(chunk)
    if "choices" in fields:
        return openai_chat.step(answers, fields)
    kind = fields.get("type")
    if type(kind) is str:
        step = EVENTS.get(kind)
        if step is not None:
            return step(answers, fields)
        if kind.startswith(("response.", "content_block_")) or kind == "ping":
            return _ignore(answers, fields)
    for name, chosen in NAMES:
        if name in fields:
            return chosen(answers, fields)
    if bedrock.step(answers, fields):
        return None
    return _by_usage(answers, chunk, fields)


def _of(provider: str | None) -> Step:
    """The step of an SDK's classes that are in no table; the SDK tells the provider, where it is one's own."""
    if provider is None:
        return _mapping

    def step(answers: Answers, chunk: Any) -> None:
        _mapping(answers, chunk)
        answers.provider = provider

    return step


def _by_usage(answers: Answers, chunk: Any, fields: Mapping[str, Any]) -> None:
    record = fields.get("usage")
    if fields.get("object") == "thread.run.step":
        return _ignore(answers, chunk)  # the end of the run has the sum of its steps
    if record is not None and not callable(record):
        if "num_turns" in fields:  # the Claude Agent SDK's result
            answers.forget()
        read: ReadRecord | None = (lambda _: record) if isinstance(record, Usage) else records.reader_of(view(record))
        if read is not None:
            model, identity = (next(filter(None, map(fields.get, names)), None) for names in (MODEL_NAMES, ID_NAMES))
            if answers.ended and identity and answers.id and identity != answers.id:
                answers.begin(model, identity, None)
            answers.known, answers.id = True, answers.id or text(identity)
            answers.model = answers.model or text(model)
            answers.ended = _is_last(fields)
            answers.take(record, read, answers.ended, records.BILLS.get(read))
        return None
    for name in _AROUND:
        inner = fields.get(name)
        if inner is not None and not isinstance(inner, (str, bytes, int, float)):
            return _inner(answers, inner)
    states = [fields] if "messages" in fields else [one for one in fields.values() if type(one) is dict]
    for state in states:  # LangGraph's state, whole or keyed by the node that changed it
        for part in (containers.inside(state) if "messages" in state else None) or ():
            _inner(answers, part)
    runs = fields.get("raw_responses") or (containers.pydantic_ai_run(chunk) if "_state" in fields else ())
    for answer in runs:
        answers.take_reading(by_keys(view(answer), None))
    return None


def _is_last(fields: Mapping[str, Any]) -> bool:
    """Whether this is the last chunk: DashScope repeats a growing count, and only the last has a finish reason."""
    output = view(fields.get("output"))
    choices = output.get("choices")
    said = view(choices[0]).get("finish_reason") if choices else output.get("finish_reason", "")
    return said is not None and said != "null"


def _whole(answers: Answers, message: Any) -> None:
    """A whole Anthropic message: one step of its tool runner."""
    answers.take_reading(anthropic.response(view(message), "anthropic"))


def _xai(answers: Answers, response: Any) -> None:
    """The answer so far, with its usage from the first chunk on; only the finished answer counts."""
    if not answers.known:
        answers.begin(None, response.id, "x_ai")
    if response.finish_reason not in (0, "", "REASON_INVALID", None):
        answers.take_reading(by_keys(view(response), "x_ai"))


# Names under which a framework's event holds the provider's own chunk.
_AROUND = ("data", "raw", "chunk", "message", "event", "raw_event", "response")


def _inner(answers: Answers, inner: Any) -> None:
    (_steps.get(type(inner)) or _learn(type(inner)))(answers, inner)


def _sequence(answers: Answers, chunk: Any) -> None:
    """A pair: a chunk and its metadata (LangGraph), or the answer so far and its chunk (xAI)."""
    for part in chunk:
        if not isinstance(part, (str, bytes, int, float, type(None))):
            return _inner(answers, part)
    return None


def _gemini_or_langchain(answers: Answers, fields: Mapping[str, Any]) -> None:
    own = "response_metadata" in fields or "input_tokens" in view(fields.get("usage_metadata"))
    return langchain_messages.step(answers, fields) if own else gemini.step(answers, fields)


def _chunk(answers: Answers, fields: Mapping[str, Any]) -> None:
    if "bytes" in view(fields["chunk"]):
        return bedrock.chunk(answers, fields)
    return _inner(answers, fields["chunk"])


def _cohere_v1(answers: Answers, fields: Mapping[str, Any]) -> None:
    kind = fields["event_type"]
    if isinstance(kind, str) and kind.startswith(("interaction.", "step.", "content.")):
        return gemini.interaction_event(answers, fields)
    step = {"stream-start": cohere.start, "stream-end": cohere.end}.get(kind)
    return step(answers, fields) if step is not None else _ignore(answers, fields)


def _run(answers: Answers, fields: Mapping[str, Any]) -> None:
    """A named event: LangChain's, or one of an assistant's run, whose last event has the usage."""
    name, inner = fields["event"], view(fields.get("data"))
    if isinstance(name, str) and name.startswith("on_"):
        return langchain_messages.event(answers, fields)
    if inner.get("object") == "thread.run" and inner.get("usage") is not None:
        answers.known = True
        return answers.take(inner["usage"], openai_chat.usage, True, billing.of_chat)
    if "data" in fields and not str(name).startswith("thread."):
        return _inner(answers, fields["data"])
    return _ignore(answers, fields)


def _batch_line(answers: Answers, line: Any) -> None:
    """One line of a batch's results: Anthropic's `result.message`, OpenAI's and Mistral's `response.body`."""
    answers.known = True
    fields = view(line)
    whole = view(view(fields.get("result")).get("message")) or view(view(fields.get("response")).get("body"))
    if whole:
        answers.take_reading(by_keys(whole, None))


def _titan(answers: Answers, fields: Mapping[str, Any]) -> None:
    if fields.get("inputTextTokenCount") is not None and fields.get("totalOutputTextTokenCount") is not None:
        answers.take_reading(bedrock.titan(fields, None))


EVENTS: dict[str, Step] = {
    "message_start": anthropic.start,
    "message_delta": anthropic.delta,
    "message_stop": _ignore,
    "span.model_request_end": anthropic.session_request,
    "response.created": openai_responses.start,
    "message-start": cohere.start,
    "message-end": cohere.end,
    **dict.fromkeys(openai_responses.ENDS, openai_responses.end),
    **dict.fromkeys(openai_responses.PIECES, openai_responses.piece),
}

# For a chunk without a type: the first of these names that it has decides the shape.
NAMES: tuple[tuple[str, Step], ...] = (
    (bedrock.METRICS, bedrock.metrics),
    ("candidates", gemini.step),
    ("usageMetadata", gemini.step),
    ("usage_metadata", _gemini_or_langchain),
    ("chunk", _chunk),
    ("event_type", _cohere_v1),
    ("prompt_eval_count", ollama.step),
    ("done", ollama.step),
    ("trace", bedrock.trace),
    ("event", _run),
    ("totalOutputTextTokenCount", _titan),
    ("model_id", others.watsonx_step),
    ("tokens_evaluated", local_servers.llama_cpp_step),
    ("custom_id", _batch_line),
    ("header", others.spark_step),
    ("generated_text", local_servers.tgi_step),
)

# Top package -> class -> the step for an instance. Other chunk classes of these packages carry no usage.
_BY_PACKAGE: dict[str, dict[str, Step]] = {
    "openai": {
        "ChatCompletionChunk": openai_chat.openai_chunk,
        "ChatCompletion": openai_chat.openai_chunk,
        "Completion": openai_chat.openai_chunk,
        "ChunkEvent": openai_chat.openai_event,
        **{
            f"{beta}Response{name}Event": step
            for beta in ("", "Beta")
            for name, step in (
                ("Created", openai_responses.start),
                ("Completed", openai_responses.end),
                ("Incomplete", openai_responses.end),
                ("Failed", openai_responses.end),
            )
        },
        "TranscriptionTextDoneEvent": openai_responses.piece,
        "ImageGenCompletedEvent": openai_responses.piece,
        "ImageEditCompletedEvent": openai_responses.piece,
        "SpeechAudioDoneEvent": openai_responses.piece,
        "ResponseDoneEvent": openai_responses.end,
        "ThreadRunCompleted": _mapping,
        "ThreadRunIncomplete": _mapping,
    },
    "anthropic": {
        "RawMessageStartEvent": anthropic.start,
        "BetaRawMessageStartEvent": anthropic.start,
        "RawMessageDeltaEvent": anthropic.delta,
        "BetaRawMessageDeltaEvent": anthropic.delta,
        "Message": _whole,
        "BetaMessage": _whole,
        "BetaManagedAgentsSpanModelRequestEndEvent": anthropic.session_request,
        "MessageBatchIndividualResponse": _batch_line,
        "BetaMessageBatchIndividualResponse": _batch_line,
    },
    "google": {
        "GenerateContentResponse": gemini.step,
    },
    "mistralai": {
        "CompletionEvent": openai_chat.mistral_event,
        "ConversationEvents": openai_chat.mistral_event,
    },
    "xai_sdk": {
        "Response": _xai,
    },
    "litellm": {
        "ModelResponseStream": _litellm_chunk,
        "ModelResponse": _litellm_chunk,
        "TextCompletionResponse": _litellm_chunk,
    },
    "langchain_core": {
        "AIMessage": langchain_messages.step,
        "ChatGenerationChunk": langchain_messages.generation_step,
    },
}
STEPS = {(package, name): step for package, steps in _BY_PACKAGE.items() for name, step in steps.items()}
_steps: dict[type, Step] = {}


def _learn(kind: type) -> Step:
    if len(_steps) >= _LIMIT:
        _steps.clear()
    step: Step
    if issubclass(kind, (str, bytes, bytearray, int, float, type(None))):
        step = _ignore
    elif issubclass(kind, (list, tuple)) and not hasattr(kind, "_fields"):
        step = _sequence
    else:
        package = kind.__module__.partition(".")[0]
        other = _ignore if package in ("openai", "anthropic") else _of(PROVIDERS.get(package))
        step = base_named(kind, STEPS) or other
    _steps[kind] = step
    return step
