"""A stand-in for model providers on loopback: every call gets figures of its own, so that none can be mistaken.

Call n reports input 1000+n, output 200+n, cache read 30+n, cache write 7+n and reasoning 5+n tokens. It speaks the
Anthropic messages, OpenAI chat and responses, and Gemini dialects, streamed, as coding agents use them. For Auggie it
answers like Augment's server (`fake_augment.py`).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support import fake_augment


@dataclass
class FakeModels:
    """`commands` are shell commands that the first calls ask the agent to run; every call after them is text.

    A command may also be a list of (tool, input): tools that are asked for at once. The end of a tool's name is enough,
    because each agent puts something else in front of the names of an MCP server's tools. A function gets the body of a
    call, and gives one of these, or None for a call that is not the one it waits for.

    `served` has the numbers of the calls that got a whole answer, `asked` the dialect of every call, `bodies` what
    they sent.
    """

    commands: list[Any] = field(default_factory=list)
    refuse_first: int = 0
    served: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeModels:
        self._lock = threading.Lock()
        self._pending = list(self.commands)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pending(self, commands: list[Any]) -> None:
        """Commands to ask for instead of those that are left."""
        self._pending = list(commands)

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def next_call(self, dialect: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        """The number of a call and the command it asks for; None where it is refused (529).

        An agent may ask before the server of a tool has started: it is given something else to do until then.
        """
        with self._lock:
            self.asked.append(dialect)
            if self.refuse_first:
                self.refuse_first -= 1
                return None
            number = len(self.served) + 1
            self.served.append(number)
            if not self._pending or not body.get("tools"):
                return number, None
            asked = (one(body) if callable(one) else one for one in self._pending)
            place, wanted = next(((place, one) for place, one in enumerate(asked) if one is not None), (0, None))
            if wanted is None:
                return number, None
            if not isinstance(wanted, str) and not all(_offered(tool, body) for tool, _ in wanted):
                return number, f"sleep 0.5{number:03}"  # never the same twice: agents end such a loop
            del self._pending[place]
            return number, wanted

    def tokens(self, cache_write: bool, reasoning_beside: bool = False, numbers: Iterable[int] | None = None) -> int:
        """What all calls reported, or those with the `numbers`.

        With cache writes (Anthropic), or with reasoning beside the output (Gemini).
        """
        return sum(
            1000 + n + 30 + n + 200 + n + (7 + n if cache_write else 0) + (5 + n if reasoning_beside else 0)
            for n in (self.served if numbers is None else numbers)
        )


def _handler(models: FakeModels) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._json({"data": [], "object": "list"})

        def do_HEAD(self) -> None:
            self._json({})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
            models.bodies.append(raw.decode())
            body = json.loads(raw)
            path = self.path.partition("?")[0]
            if path.endswith("/count_tokens") or ":countTokens" in path:
                self._json({"input_tokens": 10, "totalTokens": 10})
                return
            if path.endswith("/chat-stream"):
                body["tools"] = body.get("tool_definitions")
            for dialect, ending in _DIALECTS.items():
                if re.search(ending, path):
                    self._answer(dialect, body, path)
                    return
            self._json(fake_augment.ANSWERS.get(path, {}))

        def _answer(self, dialect: str, body: dict[str, Any], path: str) -> None:
            call = models.next_call(dialect, body)
            if call is None:
                self._json({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}, 529)
                return
            number, command = call
            name = body.get("model") or "gemini-test"
            events = _ANSWERS[dialect](number, command, str(name), body)
            if body.get("stream") or "stream" in path:
                raw = b"".join(events)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("request-id", f"req_fake{number:06}")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            else:
                self._json(_WHOLE[dialect](number, str(name)))

        def _json(self, document: dict[str, Any], status: int = 200) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            if status == 529:
                self.send_header("retry-after", "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler


def _event(data: dict[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


_TEXT = "All done: the fixed answer."


def _names(tools: Any) -> Iterator[tuple[str, str]]:
    """The name of every tool in a request, and the namespace it is in (OpenAI's responses have them)."""
    for tool in tools or ():
        function = tool.get("function") or tool
        for declared in tool.get("functionDeclarations") or tool.get("tools") or (function,):
            yield str(declared.get("name", "")), str(tool.get("name", "")) if "tools" in tool else ""


def _offered(wanted: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    """The name and namespace of each tool whose name ends so; Auggie puts the server's name behind it."""
    return [one for one in _names(body.get("tools")) if one[0].endswith((wanted, f"{wanted}_hypertool"))]


def _anthropic_usage(n: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": 1000 + n,
        "cache_read_input_tokens": 30 + n,
        "cache_creation_input_tokens": 7 + n,
        "output_tokens": output,
    }


def _anthropic(n: int, command: Any, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    message = {"id": f"msg_fake{n:06}", "type": "message", "role": "assistant", "model": model, "content": [],
               "stop_reason": None, "usage": _anthropic_usage(n, 1)}  # fmt: skip
    yield _event({"type": "message_start", "message": message}, "message_start")
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "text", "text": ""}, {"type": "text_delta", "text": _TEXT})
    ]
    asked = [("Bash", {"command": command, "description": "x"})] if isinstance(command, str) else command or []
    for place, (tool, given) in enumerate(asked):
        start = {"type": "tool_use", "id": f"toolu_{n:06}_{place}", "name": _offered(tool, body)[0][0], "input": {}}
        blocks.append((start, {"type": "input_json_delta", "partial_json": json.dumps(given)}))
    for index, (start, delta) in enumerate(blocks):
        yield _event({"type": "content_block_start", "index": index, "content_block": start}, "content_block_start")
        yield _event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
        yield _event({"type": "content_block_stop", "index": index}, "content_block_stop")
    reason = "tool_use" if command is not None else "end_turn"
    yield _event({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 200 + n}},
                 "message_delta")  # fmt: skip
    yield _event({"type": "message_stop"}, "message_stop")


def _anthropic_whole(n: int, model: str) -> dict[str, Any]:
    return {"id": f"msg_fake{n:06}", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
            "content": [{"type": "text", "text": _TEXT}], "usage": _anthropic_usage(n, 200 + n)}  # fmt: skip


def _chat_usage(n: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 1000 + n + 30 + n,
        "completion_tokens": 200 + n,
        "total_tokens": 1230 + 3 * n,
        "prompt_tokens_details": {"cached_tokens": 30 + n},
        "completion_tokens_details": {"reasoning_tokens": 5 + n},
    }


def _chat(n: int, command: Any, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    head = {"id": f"chatcmpl-fake{n:06}", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": _TEXT})
    if command is not None:
        for place, (name, given) in enumerate(_chat_tools(command, body)):
            function = {"name": name, "arguments": json.dumps(given)}
            call = {"index": place, "id": f"call_{n:06}_{place}", "type": "function", "function": function}
            yield chunk({"tool_calls": [call]})
    yield chunk({}, "tool_calls" if command is not None else "stop")
    yield _event({**head, "choices": [], "usage": _chat_usage(n)})
    yield b"data: [DONE]\n\n"


def _chat_tools(command: Any, body: dict[str, Any]) -> list[tuple[str, Any]]:
    if not isinstance(command, str):
        return [(_offered(tool, body)[0][0], given) for tool, given in command]
    names = {name for name, _ in _names(body.get("tools"))}
    if "run_commands" in names:  # Cline
        return [("run_commands", {"commands": [command]})]
    shell = "run_shell_command" if "run_shell_command" in names else "bash"  # Qwen Code's name
    return [(shell, {"command": command, "description": "x", "is_background": False})]


def _chat_whole(n: int, model: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    return {"id": f"chatcmpl-fake{n:06}", "object": "chat.completion", "created": 1, "model": model,
            "choices": [choice], "usage": _chat_usage(n)}  # fmt: skip


def _responses(n: int, command: Any, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    response = {"id": f"resp_fake{n:06}", "object": "response", "created_at": 1, "model": model, "output": []}
    yield _event({"type": "response.created", "response": {**response, "status": "in_progress"}}, "response.created")
    items: list[dict[str, Any]] = []
    if command is None:
        items.append({"type": "message", "id": f"item_{n}", "role": "assistant", "status": "completed",
                      "content": [{"type": "output_text", "text": _TEXT, "annotations": []}]})  # fmt: skip
    elif isinstance(command, str):
        names = [tool.get("name") for tool in body.get("tools", ()) if tool.get("type") == "function"]
        name = "exec_command" if "exec_command" in names else "shell_command" if "shell_command" in names else "shell"
        given = {"cmd": command} if name == "exec_command" else {"command": command}
        items.append({"type": "function_call", "id": f"item_{n}", "call_id": f"call_{n:06}", "name": name,
                      "arguments": json.dumps(given)})  # fmt: skip
    else:
        for place, (tool, given) in enumerate(command):
            name, space = _offered(tool, body)[0]
            items.append({"type": "function_call", "id": f"item_{n}_{place}", "call_id": f"call_{n:06}_{place}",
                          "name": name, "arguments": json.dumps(given)})  # fmt: skip
            if space:
                items[-1]["namespace"] = space
    for place, item in enumerate(items):
        done_item = {"type": "response.output_item.done", "output_index": place, "item": item}
        yield _event(done_item, "response.output_item.done")
    usage = {
        "input_tokens": 1000 + n + 30 + n,
        "input_tokens_details": {"cached_tokens": 30 + n},
        "output_tokens": 200 + n,
        "output_tokens_details": {"reasoning_tokens": 5 + n},
        "total_tokens": 1230 + 3 * n,
    }
    done = {**response, "status": "completed", "output": items, "usage": usage}
    yield _event({"type": "response.completed", "response": done}, "response.completed")


def _gemini_whole(n: int, model: str) -> dict[str, Any]:
    return _gemini_document(n, model, [{"text": _TEXT}])


def _gemini_document(n: int, model: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "responseId": f"gemini-fake{n:06}",
        "modelVersion": model,
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": parts}}],
        "usageMetadata": {
            "promptTokenCount": 1000 + n + 30 + n,
            "cachedContentTokenCount": 30 + n,
            "candidatesTokenCount": 200 + n,
            "thoughtsTokenCount": 5 + n,
            "totalTokenCount": 1235 + 4 * n,
        },
    }


def _gemini(n: int, command: Any, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    parts: list[dict[str, Any]] = [{"text": _TEXT}]
    if isinstance(command, str):
        parts = [{"functionCall": {"name": "run_shell_command", "args": {"command": command, "description": "x"}}}]
    elif command is not None:
        parts = [{"functionCall": {"name": _offered(tool, body)[0][0], "args": given}} for tool, given in command]
    yield _event(_gemini_document(n, model, parts))


def _augment(n: int, command: Any, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    if isinstance(command, str):
        command = [("launch-process", {"command": command, "wait": True, "max_wait_seconds": 60, "cwd": "."})]
    return fake_augment.chat(n, _TEXT, [(_offered(tool, body)[0][0], given) for tool, given in command or []])


_DIALECTS = {
    "anthropic": r"/messages$",
    "chat": r"/chat/completions$",
    "responses": r"/responses$",
    "gemini": r":(stream)?[gG]enerateContent$",
    "augment": r"/chat-stream$",
}
_ANSWERS = {"anthropic": _anthropic, "chat": _chat, "responses": _responses, "gemini": _gemini, "augment": _augment}
_WHOLE = {
    "anthropic": _anthropic_whole,
    "chat": _chat_whole,
    "responses": lambda n, model: {"id": f"resp_fake{n:06}", "model": model, "output": [], "status": "completed"},
    "gemini": _gemini_whole,
}
