"""Prompts and completions as messages of the GenAI conventions, redacted and capped; recorded only on request.

Langfuse, too, reads input and output from `gen_ai.input.messages`, `gen_ai.output.messages` and
`gen_ai.system_instructions`. Text, reasoning, tool calls and tool results are recorded; of images, audio and files
only the kind.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...runtime.logs import log, once
from ...runtime.redaction import redact, redact_name
from ..reading.view import view

CONTENT_LIMIT = 8_000
# What a message or a part takes of the limit beside its text, so that empty ones are bounded too.
_AROUND = 16
"""Characters of text in one attribute: the newest messages of a prompt, the beginning of a completion."""

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURING = frozenset({"span_only", "span_and_event", "true"})
_NOT_CAPTURING = frozenset({"", "no_content", "false"})
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "model": "assistant"}
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
_CALLS = frozenset({"tool_use", "function_call", "server_tool_use", "tool_call", "mcp_call"})
_MEDIA = ("image", "document", "video", "audio", "inline_data", "inlineData", "file_data", "fileData", "cachePoint")
_SYSTEM = ("system", "instructions", "system_instruction")

Part = dict[str, Any]
Message = dict[str, Any]


@functools.cache
def captures() -> bool:
    """Whether to record prompts and completions (off by default); read once."""
    asked = os.environ.get(VARIABLE, "").strip().lower()
    if asked not in _CAPTURING and asked not in _NOT_CAPTURING:
        log.warning(
            "%s = %r records no content: expected SPAN_ONLY or NO_CONTENT (no events are made)", VARIABLE, asked
        )
    return asked in _CAPTURING


class _Room:
    """The rest of the character limit; every text of a prompt or completion passes through here and is redacted."""

    def __init__(self) -> None:
        self.left = CONTENT_LIMIT

    def enter(self) -> None:
        """A message or a part begins."""
        self.left -= _AROUND

    def name(self, value: Any) -> str:
        """A name or an id, redacted."""
        found = redact_name(str(value))
        self.left -= len(found)
        return found

    def text(self, value: Any) -> str:
        text = value if isinstance(value, str) else _json(value)
        found = redact(text, max(self.left, 3))
        self.left -= len(found)
        return found


def _json(value: Any) -> str:
    """Any value as text; in one piece, because only a name beside its value shows that the value is a password."""

    def other(item: Any) -> Any:
        fields = view(item)
        return dict(fields) if fields else str(item)

    return json.dumps(value, default=other, ensure_ascii=False)


def input_messages(prompt: Any) -> str:
    """A prompt as JSON: the newest messages that fit, and the number of older ones left out. Never raises."""
    return _safely(_input, prompt)


def output_messages(response: Any) -> str:
    """A completion as JSON. Never raises."""
    return _safely(_output, response)


def system_instructions(arguments: Mapping[str, Any]) -> str | None:
    """The instructions from an argument of their own, as JSON; None if there are none. Never raises."""
    config = view(arguments.get("config"))
    found = next(
        (value for fields in (arguments, config) for name in _SYSTEM if (value := fields.get(name)) is not None), None
    )
    return None if found is None else _safely(lambda value: list(_parts(value, _Room())), found)


def _safely(convert: Callable[[Any], list[Any]], value: Any) -> str:
    try:
        return json.dumps(convert(value), ensure_ascii=False)
    except Exception as error:  # a foreign object may raise anything when inspected
        once.warn(
            "content:" + type(value).__name__,
            f"the words of a {type(value).__name__} are not recorded: {type(error).__name__}",
        )
        return "[]"


def _input(prompt: Any) -> list[Message]:
    given = _items(prompt)
    room = _Room()
    messages: list[Message] = []
    for item in reversed(given):
        if room.left <= 0:
            omitted = {"type": "omitted", "messages": len(given) - len(messages)}
            messages.append({"role": "user", "parts": [omitted]})
            break
        messages.append(_message(item, "user", room))
    return messages[::-1]


def _output(response: Any) -> list[Message]:
    room = _Room()
    return [_message(item, "assistant", room) for item in _choices(response) if room.left > 0]


def _choices(response: Any) -> list[Any]:
    """The messages in any provider's response, each with its `finish_reason` if the response has one."""
    fields = view(response)
    for key in ("choices", "candidates"):
        found = fields.get(key)
        if isinstance(found, (list, tuple)) and found:
            return [_choice(view(choice)) for choice in found]
    for key in ("output", "generations"):  # OpenAI responses, Bedrock converse; LangChain's results
        found = fields.get(key)
        if isinstance(found, (list, tuple)):
            return [_flat(item) for item in found]
        if found is not None and view(found).get("message") is not None:
            return [{**view(view(found)["message"]), "finish_reason": fields.get("stopReason")}]
    if "content" in fields:  # Anthropic's and LangChain's own message
        return [{**fields, "finish_reason": fields.get("stop_reason")}]
    return list(response) if isinstance(response, (list, tuple)) else [response]


def _choice(choice: Mapping[str, Any]) -> Any:
    reason = choice.get("finish_reason") or choice.get("finishReason")
    message = choice.get("message") if choice.get("message") is not None else choice.get("content")
    if message is None:
        message = {"content": choice.get("text")}
    return {**view(message), "finish_reason": reason} if not isinstance(message, str) else message


def _flat(item: Any) -> Any:
    while isinstance(item, (list, tuple)) and item:
        item = item[0]
    inner = view(item).get("message")
    return item if inner is None else inner


def _items(prompt: Any) -> list[Any]:
    if isinstance(prompt, (list, tuple)):
        # Gemini also accepts the parts of one message as a prompt.
        return list(prompt)
    inner = view(prompt).get("messages")
    return list(inner) if isinstance(inner, (list, tuple)) else [prompt]


def _message(item: Any, role: str, room: _Room) -> Message:
    room.enter()
    if isinstance(item, str):
        return {"role": role, "parts": [{"type": "text", "content": room.text(item)}]}
    fields = view(item)
    named = fields.get("role") or fields.get("type")
    named = getattr(named, "value", named)
    known = isinstance(named, str) and ("content" in fields or "parts" in fields)
    message: Message = {"role": redact_name(_ROLES.get(str(named), str(named))) if known else role}
    content = fields.get("parts") if fields.get("parts") is not None else fields.get("content")
    answers = fields.get("tool_call_id")
    if answers is not None:
        message["role"] = "tool"
        message["parts"] = [_result(answers, content, room)]
        return message
    if content is None and "role" not in fields and not fields.get("tool_calls"):
        message["parts"] = [_part(item, room)]
    else:
        message["parts"] = list(_parts(content, room))
    thought = fields.get("reasoning_content")
    if isinstance(thought, str) and thought:
        message["parts"].insert(0, {"type": "reasoning", "content": room.text(thought)})
    for call in fields.get("tool_calls") or ():
        if room.left <= 0:
            break
        message["parts"].append(_part(call, room))
    reason = fields.get("finish_reason")
    if reason is not None:
        message["finish_reason"] = redact_name(str(getattr(reason, "value", reason)))
    return message


def _parts(content: Any, room: _Room) -> Iterable[Part]:
    if content is None:
        return
    if not isinstance(content, (list, tuple)):
        inner = view(content).get("parts")
        content = inner if isinstance(inner, (list, tuple)) else [content]
    for item in content:
        if room.left <= 0:
            return
        yield _part(item, room)


def _part(item: Any, room: _Room) -> Part:
    """One message part, recognised by any provider's field names."""
    room.enter()
    if isinstance(item, str):
        return {"type": "text", "content": room.text(item)}
    fields = view(item)
    kind = getattr(fields.get("type"), "value", fields.get("type"))
    for key, build in _NESTED.items():
        inner = fields.get(key)
        if inner is not None:
            return build(view(inner), fields, room)
    if kind in _CALLS or {"name", "args"} <= {*fields}:
        return _call(fields, fields, room)
    if kind in ("tool_result", "function_call_output"):
        return _result(fields.get("tool_use_id") or fields.get("call_id"), _first(fields, "content", "output"), room)
    thought = fields.get("thinking") if kind == "thinking" else None
    if kind == "reasoning":
        thought = "".join(str(view(one).get("text", "")) for one in _first(fields, "summary", "content") or ())
    if isinstance(thought, str):
        return {"type": "reasoning", "content": room.text(thought)}
    text = fields.get("text") if fields.get("text") is not None else fields.get("refusal")
    if isinstance(text, str) and (kind is None or kind in _TEXTS):
        return {"type": "reasoning" if fields.get("thought") is True else "text", "content": room.text(text)}
    if isinstance(kind, str):
        return {"type": room.name(kind)}  # an image, audio or a file: only its kind is recorded
    media = next((key for key in _MEDIA if fields.get(key) is not None), None)
    return {"type": media} if media else {"type": "text", "content": room.text(item)}


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _call(fields: Mapping[str, Any], around: Mapping[str, Any], room: _Room) -> Part:
    part: Part = {"type": "tool_call"}
    identity = _first(fields, "call_id", "id", "toolUseId") or around.get("id")
    if identity is not None:
        part["id"] = room.name(identity)
    part["name"] = room.name(fields.get("name"))
    arguments = _first(fields, "arguments", "args", "input")
    if arguments is not None:
        part["arguments"] = room.text(arguments)
    return part


def _result(identity: Any, result: Any, room: _Room) -> Part:
    part: Part = {"type": "tool_call_response", "response": room.text(_texts(result))}
    if identity is not None:
        part["id"] = room.name(identity)
    return part


def _texts(result: Any) -> Any:
    """A result that consists of text parts as one text; any other result unchanged."""
    if isinstance(result, (list, tuple)):
        texts = [text for one in result if isinstance(text := view(one).get("text"), str)]
        if len(texts) == len(result):
            return "\n".join(texts)
    return result


def _nested_result(inner: Mapping[str, Any], around: Mapping[str, Any], room: _Room) -> Part:
    return _result(_first(inner, "toolUseId", "id", "name"), _first(inner, "content", "response"), room)


def _nested_thought(inner: Mapping[str, Any], around: Mapping[str, Any], room: _Room) -> Part:
    text = view(inner.get("reasoningText")).get("text")
    return {"type": "reasoning", "content": room.text(text if isinstance(text, str) else "")}


# Parts whose content has a key of its own: OpenAI's and Gemini's calls, Bedrock's tools and reasoning.
_NESTED = {
    "function": _call,
    "function_call": _call,
    "functionCall": _call,
    "toolUse": _call,
    "function_response": _nested_result,
    "functionResponse": _nested_result,
    "toolResult": _nested_result,
    "reasoningContent": _nested_thought,
}
