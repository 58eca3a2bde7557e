"""Langfuse's prompts through the real SDK's client: fetched, kept, filled in, linked, and replaced while away."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hypertool import LangfuseIntegration, ObservableLLM
from hypertool.errors import PromptUnavailable
from hypertool.llm.calls import call as calls
from hypertool.sinks import langfuse_prompts

ABOUT: dict[str, Any] = {"version": 3, "config": {}, "labels": [], "tags": []}
TEXT = {**ABOUT, "type": "text", "name": "reviewer", "prompt": "Review {{what}}."}
HELLO = {"type": "chatmessage", "role": "user", "content": "Hi {{who}}"}
CHAT = {**ABOUT, "type": "chat", "name": "chat", "prompt": [HELLO]}


class Server(ThreadingHTTPServer):
    """Answers with the prompt of that name; `away` refuses with 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []
        self.away = False


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        found = {"reviewer": TEXT, "chat": CHAT}.get(self.path.partition("?")[0].rpartition("/")[2])
        status = 503 if self.server.away else 200 if found else 404
        body = json.dumps(found if status == 200 else {"message": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A Langfuse server that has two prompts."""
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def langfuse(server: Server, monkeypatch: pytest.MonkeyPatch) -> LangfuseIntegration:
    """An integration with keys for that server."""
    monkeypatch.setattr("hypertool.spans.span.open_langfuse", lambda keys: None)  # no spans go out here
    return LangfuseIntegration("pk", "sk", f"http://127.0.0.1:{server.server_address[1]}")


def test_prompt_is_fetched_filled_in_and_kept(server: Server, langfuse: LangfuseIntegration) -> None:
    """Two uses are one request; version and label are the server's to resolve."""
    first = langfuse.prompt("reviewer", what="the patch")
    assert (first, first.name, first.version, first.is_fallback) == ("Review the patch.", "reviewer", 3, False)
    assert langfuse.prompt("reviewer", what="it") == "Review it."
    assert len(server.paths) == 1
    langfuse.prompt("reviewer", 2)
    langfuse.prompt("reviewer", label="staging")
    assert ["version=2" in server.paths[1], "label=staging" in server.paths[2]] == [True, True]


def test_chat_prompts_are_messages(langfuse: LangfuseIntegration) -> None:
    """A chat prompt is a list of messages."""
    messages = langfuse.prompt("chat", who="Ann")
    assert [(one["role"], one["content"]) for one in messages] == [("user", "Hi Ann")]


def test_fallback_while_the_server_is_away(server: Server, langfuse: LangfuseIntegration) -> None:
    """The fallback is used, filled in; the server is not asked again at each call."""
    server.away = True
    for _ in range(3):
        prompt = langfuse.prompt("reviewer", fallback="Look at {{what}}.", what="it")
        assert (prompt, prompt.is_fallback, prompt.version) == ("Look at it.", True, None)
    assert len(server.paths) == 1
    with pytest.raises(PromptUnavailable, match="fallback="):
        langfuse.prompt("reviewer")


def test_kept_prompt_outlives_the_server(
    server: Server, langfuse: LangfuseIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched once goes on being used, and beats the fallback."""
    langfuse.prompt("reviewer", what="x")
    server.away = True
    monkeypatch.setattr(langfuse_prompts, "KEEP_SECONDS", 0.0)
    assert langfuse.prompt("reviewer", fallback="other", what="it") == "Review it."


def test_unknown_prompt_is_unavailable(langfuse: LangfuseIntegration) -> None:
    """A name that the server does not know, without a fallback, is one clear error."""
    with pytest.raises(PromptUnavailable, match="nobody"):
        langfuse.prompt("nobody")


def test_no_keys_use_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys nothing is asked anywhere."""
    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert LangfuseIntegration().prompt("reviewer", fallback="text") == "text"


def test_prompt_links_its_generation(langfuse: LangfuseIntegration, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observed call that is given the prompt says which one it was; one with the fallback does not."""
    seen: list[Any] = []
    start = calls.spans.start
    monkeypatch.setattr(calls.spans, "start", lambda *a, **more: seen.append(more["of"][7]) or start(*a, **more))
    llm = ObservableLLM(lambda prompt: "text", "m", metrics=False)
    prompt = langfuse.prompt("reviewer", what="it")
    llm(prompt)
    llm("Review it.")
    assert [about and about["langfuse_prompt"].version for about in seen] == [3, None]


def test_the_sdks_tracer_stays_off(langfuse: LangfuseIntegration) -> None:
    """No client of the SDK is made, and no tracer provider is set."""
    langfuse.prompt("reviewer", what="it")
    from langfuse._client.resource_manager import LangfuseResourceManager
    from opentelemetry import trace

    assert LangfuseResourceManager._instances == {}
    assert "langfuse" in sys.modules
    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
