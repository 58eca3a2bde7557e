"""The text of a stream, assembled chunk by chunk; made only if content is recorded.

A credential split over several chunks is whole again before redaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..reading.view import view
from .messages import CONTENT_LIMIT, Message

# The length of text that redaction examines.
_LIMIT = 4 * CONTENT_LIMIT


class Transcript:
    """Feed it every chunk; `response` returns the message as if the provider had sent it whole. Never raises."""

    __slots__ = ("_calls", "_reason", "_size", "_text", "_thought", "_whole")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thought: list[str] = []
        self._calls: dict[Any, dict[str, Any]] = {}
        self._reason: str | None = None
        self._size = 0
        self._whole: Any = None

    def feed(self, chunk: Any) -> None:
        """Take the text of a chunk."""
        try:
            self._take(chunk)
        except Exception:  # a foreign object may raise anything when inspected; its text is then missing
            return

    def response(self) -> Any:
        """The text so far, in the shape of a response."""
        if self._whole is not None:
            return self._whole
        content: list[Any] = []
        if self._thought:
            content.append({"type": "thinking", "thinking": "".join(self._thought)})
        if self._text:
            content.append({"type": "text", "text": "".join(self._text)})
        for call in self._calls.values():
            content.append(
                {"type": "tool_use", "id": call["id"], "name": call["name"], "input": "".join(call["input"])}
            )
        message: Message = {"role": "assistant", "content": content, "stop_reason": self._reason}
        return message

    def _say(self, text: Any, thought: bool = False) -> None:
        if isinstance(text, str) and text and self._size < _LIMIT:
            (self._thought if thought else self._text).append(text)
            self._size += len(text)

    def _call(self, index: Any, identity: Any, name: Any, arguments: Any) -> None:
        call = self._calls.setdefault(index, {"id": None, "name": "", "input": []})
        call["id"] = call["id"] or identity
        call["name"] = call["name"] or name or ""
        if isinstance(arguments, Mapping):
            arguments = json.dumps(arguments, default=str, ensure_ascii=False)
        if isinstance(arguments, str) and self._size < _LIMIT:
            call["input"].append(arguments)
            self._size += len(arguments)

    def _take(self, chunk: Any) -> None:
        if isinstance(chunk, str):
            return self._say(chunk)
        fields = view(chunk)
        for key in ("data", "message"):  # Mistral's events, LangChain's generations
            inner = fields.get(key)
            if inner is not None and "type" not in fields:
                return self._take(inner)
        choices = fields.get("choices")
        if choices is not None:
            return self._chat(choices)
        if fields.get("candidates") is not None:
            return self._gemini(fields["candidates"])
        kind = fields.get("type")
        if isinstance(kind, str) and (
            "delta" in fields or "response" in fields or "content_block" in fields or kind == "chunk"
        ):
            return self._event(kind, fields)
        if "chunk" in fields:  # Bedrock's invoke: the model's own event as JSON
            return self._take(json.loads(view(fields["chunk"])["bytes"]))
        if "content" in fields:
            return self._langchain(fields)
        return self._converse(fields)

    def _chat(self, choices: Any) -> None:
        if not choices:
            return
        choice = view(choices[0])
        delta = view(choice.get("delta"))
        self._say(delta.get("reasoning_content"), thought=True)
        self._content(delta.get("content"))
        self._say(choice.get("text"))
        for call in delta.get("tool_calls") or ():
            about = view(call)
            function = view(about.get("function"))
            self._call(about.get("index", 0), about.get("id"), function.get("name"), function.get("arguments"))
        self._reason = choice.get("finish_reason") or self._reason

    def _content(self, content: Any) -> None:
        """Text, or a list of parts as Mistral, Anthropic and LangChain send them."""
        if not isinstance(content, (list, tuple)):
            return self._say(content)
        for part in content:
            fields = view(part)
            self._say(fields.get("text") if not isinstance(part, str) else part)
            self._say(fields.get("thinking"), thought=True)
        return None

    def _gemini(self, candidates: Any) -> None:
        for candidate in candidates[:1]:
            fields = view(candidate)
            self._reason = fields.get("finish_reason") or fields.get("finishReason") or self._reason
            for part in view(fields.get("content")).get("parts") or ():
                about = view(part)
                self._say(about.get("text"), thought=about.get("thought") is True)
                call = view(about.get("function_call") or about.get("functionCall"))
                if call:
                    self._call(len(self._calls), call.get("id"), call.get("name"), call.get("args"))

    def _event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Events of Anthropic's messages and of OpenAI's responses and stream helpers."""
        if kind == "chunk":
            self._take(fields.get("chunk"))
        elif kind == "content_block_start":
            block = view(fields.get("content_block"))
            if block.get("type") == "tool_use":
                self._call(fields.get("index"), block.get("id"), block.get("name"), None)
        elif kind == "content_block_delta":
            delta = view(fields.get("delta"))
            self._say(delta.get("text"))
            self._say(delta.get("thinking"), thought=True)
            if delta.get("type") == "input_json_delta":
                self._call(fields.get("index"), None, None, delta.get("partial_json"))
        elif kind == "message_delta":
            self._reason = view(fields.get("delta")).get("stop_reason") or self._reason
        elif kind == "response.output_text.delta":
            self._say(fields.get("delta"))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._whole = fields.get("response")

    def _langchain(self, fields: Mapping[str, Any]) -> None:
        self._content(fields.get("content"))
        for call in fields.get("tool_call_chunks") or ():
            about = view(call)
            self._call(about.get("index", 0), about.get("id"), about.get("name"), about.get("args"))
        self._reason = view(fields.get("response_metadata")).get("finish_reason") or self._reason

    def _converse(self, fields: Mapping[str, Any]) -> None:
        """Bedrock's converse_stream."""
        if "contentBlockStart" in fields:
            event = view(fields["contentBlockStart"])
            tool = view(view(event.get("start")).get("toolUse"))
            if tool:
                self._call(event.get("contentBlockIndex"), tool.get("toolUseId"), tool.get("name"), None)
        elif "contentBlockDelta" in fields:
            event = view(fields["contentBlockDelta"])
            delta = view(event.get("delta"))
            self._say(delta.get("text"))
            self._say(view(delta.get("reasoningContent")).get("text"), thought=True)
            if delta.get("toolUse") is not None:
                self._call(event.get("contentBlockIndex"), None, None, view(delta["toolUse"]).get("input"))
        elif "messageStop" in fields:
            self._reason = view(fields["messageStop"]).get("stopReason") or self._reason
