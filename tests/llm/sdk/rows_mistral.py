"""Mistral: OpenAI's names in classes of its own; the stream's chunks are wrapped in events."""

from __future__ import annotations

from typing import Any

from chats import chat, chat_piece
from mistralai.client import Mistral
from provider import PROVIDER
from table import Row

_ASK: dict[str, Any] = {"model": "mistral-large-2512", "messages": [{"role": "user", "content": "hi"}]}


def _client(url: str) -> Any:
    return Mistral(api_key="none", server_url=url)


def _ask(usage: dict[str, Any]) -> Any:
    return _client(PROVIDER.json(chat("mistral-large-2512", usage=usage))).chat.complete(**_ASK)


def _stream(usage: dict[str, Any] | None) -> Any:
    def piece(content: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
        return chat_piece("mistral-large-2512", {"content": content}, finish, **more)

    last = piece("", "stop") if usage is None else piece("", "stop", usage=usage)
    return _client(PROVIDER.events([piece("hel"), piece("lo"), last], done=True)).chat.stream(**_ASK)


def _conversation(usage: dict[str, Any]) -> Any:
    body = {"conversation_id": "conv", "object": "conversation.response", "outputs": [], "usage": usage}
    return _client(PROVIDER.json(body)).beta.conversations.start(model="mistral-large-2512", inputs="hi")


_IS: dict[str, Any] = {"model": "mistral-large-2512", "provider": "mistral_ai"}
_STOP: dict[str, Any] = {**_IS, "reasons": ("stop",)}
_PLAIN = {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}
_CACHED = {**_PLAIN, "prompt_tokens_details": {"cached_tokens": 10}}

ROWS = [
    Row("mistral plain", lambda: _ask(_PLAIN), (16, 0, 0, 34, 0), **_STOP),
    Row("mistral cached", lambda: _ask(_CACHED), (6, 10, 0, 34, 0), **_STOP),
    # The class fills in 0 for what the server did not send.
    Row("mistral empty usage", lambda: _ask({}), "no_usage", **_STOP),
    Row("mistral stream", lambda: _stream(_PLAIN), (16, 0, 0, 34, 0), **_STOP, stream=True),
    Row("mistral stream without usage", lambda: _stream(None), "no_usage", **_STOP, stream=True),
    Row("mistral stream cut", lambda: _stream(_PLAIN), "stream_cut", **_IS, stream=True, cut_after=2),
    # 16 + 34 + 100 that the built-in tools brought = 150.
    Row(
        "mistral conversation with connectors",
        lambda: _conversation(
            {"prompt_tokens": 16, "completion_tokens": 34, "connector_tokens": 100, "total_tokens": 150}
        ),
        (116, 0, 0, 34, 0),
        provider="mistral_ai",
    ),
]
