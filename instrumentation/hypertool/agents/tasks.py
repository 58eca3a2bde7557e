"""Which task a sub-agent was given, without its text: what tells it apart where the agent itself does not name it."""

from __future__ import annotations

from ..runtime.light_typing import Any
from .calls import mapping


def task_of(session: str, prompt: str) -> str:
    """A checksum of a task in a session; empty without either. The text cannot be had from it."""
    if not session or not prompt.strip():
        return ""
    from hashlib import sha256  # only here: a hook has no time for unused imports

    return sha256(f"{session}\0{prompt.strip()}".encode("utf-8", "replace")).hexdigest()[:32]


def plain(content: Any) -> str:
    """The text of a message: a string, or the texts of its parts."""
    if content.__class__ is str:
        return str(content)
    if content.__class__ is not list:
        return ""
    texts = (part if part.__class__ is str else mapping(part).get("text") for part in content)
    return "".join(one for one in texts if one.__class__ is str)
