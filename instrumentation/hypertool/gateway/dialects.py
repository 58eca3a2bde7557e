"""Errors as each provider words them: a client shows the text and stops, or retries, by status and type."""

from __future__ import annotations

import json
from typing import Any

# 402 stops every measured agent (docs/gateway.md); Codex asks twice after a 402 and once after a 400.
REFUSED = 402
_REFUSED_BY_AGENT = {"codex": 400}
_ANTHROPIC = {
    400: "invalid_request_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}
_GEMINI = {400: "INVALID_ARGUMENT", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def refused_status(agent: str) -> int:
    """The status that stops that agent at a budget."""
    return _REFUSED_BY_AGENT.get(agent, REFUSED)


def error_body(provider: str, status: int, message: str, budget: bool = False) -> bytes:
    """The body of an error in the provider's dialect; `budget` if a budget is the reason."""
    if provider == "anthropic":
        kind = _ANTHROPIC.get(status, "api_error")
        return _json({"type": "error", "error": {"type": kind, "message": message}})
    if provider == "gemini":
        named = _GEMINI.get(status, "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT")
        return _json({"error": {"code": status, "message": message, "status": named}})
    kind = "insufficient_quota" if budget else "server_error" if status >= 500 else "invalid_request_error"
    code = "insufficient_quota" if budget else None
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
