"""What persona files say besides the budget: description, tools, MCP servers, and paths that must not be changed."""

from __future__ import annotations

from collections.abc import Mapping

from ..runtime.light_typing import Any
from .fields import Choice, Field, Many, Text

TOOLS = ("read", "search", "edit", "execute", "web")

_SERVER = Text("a name of letters, digits, '-' and '_'", r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", 64)
_PATH = Text(
    "a path or pattern in the project such as 'deploy/**', without '..', quotes and '\\'",
    r"(?!/)(?!(?:[\s\S]*/)?\.\.(?:/|$))[^\u0000-\u001f\u007f`\"'\\]{1,200}",
    200,
)
FIELDS = {
    "description": Field(
        Text("one line of 1 to 1000 characters", r"[^\u0000-\u001f\u007f]+", 1000), "what the persona is for"
    ),
    "tools": Field(Many(Choice(*TOOLS), "tools", 0), "the tools that it may use (default: all)"),
    "servers": Field(Many(_SERVER, "servers", 0), "the MCP servers that it uses"),
    "restricted_paths": Field(Many(_PATH, "paths", 0, 100), "paths that it must not change"),
}


def problem(table: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key of a persona's table that is wrong, with the reason."""
    for key, field in FIELDS.items():
        if key in table:
            for found in field.kind.problems(table[key], (key,)):
                return key, f"{found.reason}, {found.remedy}"
    return None
