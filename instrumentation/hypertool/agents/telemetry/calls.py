"""Model calls in agents' telemetry, with the same ids as in their session files, so that each is counted once.

Not read: Codex's events (they have no id) and opencode's spans (no id of its database). Of Gemini CLI only the calls
that its session file lacks are read (the router's, and others with a role other than `main`).
"""

from __future__ import annotations

from ...runtime.light_typing import Any
from ..calls import AgentCall, Read, Tokens, Unrecognised, guarded, part, seconds, text, whole, wholes
from ..reading.gemini_cli import TELEMETRY, tokens_of
from .wire import Record


def call_in(record: Record) -> tuple[str, Read]:
    """The agent that sent a record (empty: unknown) and the call in it."""
    for agent, name, read in (
        ("claude-code", "api_request", _claude_code),
        ("claude-code", "claude_code.api_request", _claude_code),
        ("qwen-code", "qwen-code.api_response", _qwen_code),
        ("gemini-cli", "gemini_cli.api_response", _gemini_cli),
    ):
        if record.name == name:
            return agent, guarded(_version(record), read, record)
    if record.name.startswith("chat ") and "github" in str(record.attributes.get("service.name", "")):
        return "copilot-cli", guarded(_version(record), _copilot_cli, record)
    return "", None


def _version(record: Record) -> str:
    return text(record.attributes.get("service.version"))


def _number(value: Any) -> int:
    """Claude Code sends its counts as text."""
    is_count = isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit()
    return whole(int(value) if is_count else value)


def _at(record: Record) -> float:
    return seconds(record.attributes.get("event.timestamp")) or record.at


def _claude_code(record: Record) -> Read:
    given = record.attributes
    request = text(given.get("request_id"))
    if not request:
        return Unrecognised("no_id", _version(record))
    tokens = Tokens(
        _number(given.get("input_tokens")),
        _number(given.get("cache_read_tokens")),
        _number(given.get("cache_creation_tokens")),
        _number(given.get("output_tokens")),
    )
    return AgentCall("claude-code", text(given.get("session.id")), (request,), _at(record), text(given.get("model")),
                     tokens, text(given.get("agent.name")), "", _version(record))  # fmt: skip


def _qwen_code(record: Record) -> Read:
    response = text(record.attributes.get("response_id"))
    if not response:
        return Unrecognised("no_id", _version(record))
    return _google("qwen-code", record, response)


def _gemini_cli(record: Record) -> Read:
    role = text(record.attributes.get("role"))
    if role in ("", "main", "subagent"):
        return None
    moment = text(record.attributes.get("event.timestamp")) or str(record.at)
    return _google("gemini-cli", record, f"{text(record.attributes.get('session.id'))}/{role}/{moment}")


def _google(agent: str, record: Record, key: str) -> Read:
    given = record.attributes
    tokens = tokens_of(*wholes(given, *TELEMETRY))
    return AgentCall(agent, text(given.get("session.id")), (key,), _at(record), text(given.get("model")), tokens,
                     text(given.get("subagent_name")), "", _version(record))  # fmt: skip


def _copilot_cli(record: Record) -> Read:
    given = record.attributes
    response = text(given.get("gen_ai.response.id"))
    if not response:
        return Unrecognised("no_id", _version(record))
    cached = whole(given.get("gen_ai.usage.cache_read.input_tokens"))
    written = whole(given.get("gen_ai.usage.cache_creation.input_tokens"))
    thought = whole(given.get("gen_ai.usage.reasoning.output_tokens"))
    tokens = Tokens(
        part(whole(given.get("gen_ai.usage.input_tokens")), cached, written),
        cached,
        written,
        part(whole(given.get("gen_ai.usage.output_tokens")), thought),
        thought,
    )
    session = text(given.get("gen_ai.conversation.id"))
    model = text(given.get("gen_ai.response.model")) or text(given.get("gen_ai.request.model"))
    return AgentCall("copilot-cli", session, (response,), record.at, model, tokens, "", "", _version(record))
