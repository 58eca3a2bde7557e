"""The output that each agent takes as a stop or a warning, as measured with the real clients (docs/agents.md)."""

from __future__ import annotations

import json

from ...runtime.light_typing import Any, NamedTuple
from .events import Event

# By agent and kind of event: how to stop the agent there. The end of a turn is excluded: an agent "blocked" from ending
# continues and spends. So is denying a single tool: that always costs one more model call.
_STOPS = {
    "claude-code": {
        "prompt": "exit 2",
        "after_batch": "exit 2",
        "before_tool": "continue",
        "after_tool": "continue",
    },
    "codex": {"prompt": "exit 2"},
    "gemini-cli": {"prompt": "exit 2", "before_model": "exit 2"},
    "copilot-cli": {"prompt": "decision"},
    "cline": {"before_tool": "cancel", "after_tool": "cancel"},
    "qwen-code": {"prompt": "decision"},  # which it also has before it sends the results of tools
    # No answer stops it: its process is ended (`ending.py`). It waits for these hooks, and its file has the call then.
    "auggie": {"session_start": "end", "before_tool": "end", "after_tool": "end"},
}
# Events at which an agent adds a hook's text to the model's context.
_CONTEXT = {
    "claude-code": ("session_start", "prompt", "before_tool", "after_tool"),
    "codex": ("session_start", "prompt", "after_tool"),
    "gemini-cli": ("session_start", "prompt", "after_tool"),
    "copilot-cli": ("session_start", "prompt", "after_tool"),
    "qwen-code": ("session_start", "prompt", "after_tool"),
    "auggie": ("session_start",),
}


class Answer(NamedTuple):
    """A hook's output and exit code."""

    out: str = ""
    err: str = ""
    code: int = 0


NOTHING = Answer()


def stops(event: Event) -> bool:
    """Whether this agent can be stopped at this event."""
    return event.kind in _STOPS.get(event.agent, ())


def stops_by_ending(event: Event) -> bool:
    """Whether that is done by ending the agent's process instead of by an answer."""
    return _STOPS.get(event.agent, {}).get(event.kind) == "end"


def stop(event: Event, why: str) -> Answer:
    """The answer that stops the agent here."""
    form = _STOPS[event.agent][event.kind]
    if form == "exit 2":
        return Answer("", why + "\n", 2)
    if form == "continue":
        return _json({"continue": False, "stopReason": why, "systemMessage": why})
    if form == "decision":
        return _json({"decision": "block", "reason": why})
    return _json({"cancel": True, "errorMessage": why})


def warn(event: Event, what: str) -> Answer:
    """The answer that continues with a warning; empty if the agent does not show it."""
    if event.agent == "cline":
        return _json({"cancel": False, "contextModification": what})
    if event.agent == "copilot-cli":
        return (
            _json({"additionalContext": what}) if event.kind in ("session_start", "prompt", "after_tool") else NOTHING
        )
    if event.kind not in _CONTEXT.get(event.agent, ()):
        return NOTHING
    return _json(
        {"systemMessage": what, "hookSpecificOutput": {"hookEventName": event.name, "additionalContext": what}}
    )


def can_warn(event: Event) -> bool:
    """Whether the agent shows a warning at this event."""
    return warn(event, "") is not NOTHING


def _json(document: dict[str, Any]) -> Answer:
    return Answer(json.dumps(document) + "\n")
