"""Parses what an agent sends to its hook: the event, its session and the session's file; the rest is not read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ...runtime.light_typing import Any, NamedTuple
from ..calls import mapping, text
from ..folders import folder
from ..reading.registry import reader
from ..reading.sources import files_in
from ..tasks import plain, task_of

KINDS = {
    "sessionstart": "session_start",
    "taskstart": "session_start",
    "taskresume": "session_start",
    "userpromptsubmit": "prompt",
    "userpromptsubmitted": "prompt",
    "promptsubmit": "prompt",
    "beforeagent": "prompt",
    "pretooluse": "before_tool",
    "beforetool": "before_tool",
    "posttooluse": "after_tool",
    "aftertool": "after_tool",
    "posttoolbatch": "after_batch",
    "beforemodel": "before_model",
    "subagentstart": "subagent_start",
    "subagentstop": "subagent_stop",
    "stop": "stop",
    "agentstop": "stop",
    "afteragent": "stop",
    "taskcomplete": "stop",
    "taskcancel": "stop",
    "sessionend": "session_end",
}
RECENT_FILES = 16
# Agents that keep the sessions of a project in a folder of their own.
_BESIDE = ("claude-code", "gemini-cli", "qwen-code")


class Event(NamedTuple):
    """One event of an agent. `name` is the agent's own name for it, `kind` one of the values of KINDS, or `other`.

    `asked` is the sub-agent that is about to get `task`; without it, `task` is what this part of the session does.
    """

    agent: str
    name: str
    kind: str
    session: str
    transcript: str
    directory: str
    subagent_id: str = ""
    subagent: str = ""
    asked: str = ""
    task: str = ""


def parse(agent: str, name: str, given: dict[str, Any]) -> Event:
    """The event in a hook's input. Missing fields are empty."""
    kind = KINDS.get(name.replace("_", "").replace("-", "").lower(), "other")
    directory = path(given.get("cwd"))
    roots = given.get("workspace_roots") or given.get("workspaceRoots")
    if not directory and roots.__class__ is list and roots:
        directory = path(roots[0])
    subagent_id = text(given.get("agent_id")) or text(given.get("agentId"))
    subagent = text(given.get("agent_type")) or text(given.get("agentType"))
    if agent == "cline":
        # Every Cline event names its agent; a sub-agent has a parent.
        subagent_id = subagent_id if given.get("parent_agent_id") else ""
    session = _session(agent, given)
    asked, task = _task(kind, session, given) if agent == "gemini-cli" else ("", "")
    return Event(
        agent,
        name,
        kind,
        session,
        path(given.get("transcript_path")) or path(given.get("transcriptPath")),
        directory,
        subagent_id,
        subagent,
        asked,
        task,
    )


def _task(kind: str, session: str, given: dict[str, Any]) -> tuple[str, str]:
    """Gemini CLI names a sub-agent only to the tool that starts it, and tells it apart by its first message."""
    if kind == "before_tool" and given.get("tool_name") == "invoke_agent":
        wanted = mapping(given.get("tool_input"))
        return text(wanted.get("agent_name")), task_of(session, plain(wanted.get("prompt")))
    messages = mapping(given.get("llm_request")).get("messages") if kind == "before_model" else None
    if messages.__class__ is list and messages:
        return "", task_of(session, plain(mapping(messages[0]).get("content")))
    return "", ""


def _session(agent: str, given: dict[str, Any]) -> str:
    if agent == "cline":
        return text(mapping(given.get("sessionContext")).get("rootSessionId")) or text(given.get("taskId"))
    if agent == "copilot-cli":  # a sub-agent's own events carry its id as the session's
        return text(given.get("parentAgentId")) or text(given.get("sessionId"))
    return text(given.get("session_id")) or text(given.get("conversation_id")) or text(given.get("sessionId"))


def path(value: Any) -> str:
    """An absolute path from an event, else empty."""
    if value.__class__ is str and len(value) <= 4096 and os.path.isabs(value) and "\0" not in value:
        return str(value)
    return ""


def files(event: Event, home: str, environment: dict[str, str]) -> Iterator[str]:
    """The session's file and those of its sub-agents; if that is unknown, the agent's files of the last hour.

    A session that begins also brings the last hour's others of its project: one may have been killed after a call that
    was not in its file yet when its last hook ran.
    """
    module = reader(event.agent)
    if event.transcript:
        yield from module.with_subagents(event.transcript)
        if event.kind == "session_start" and event.agent in _BESIDE:
            for beside in _recent(files_in(os.path.dirname(event.transcript), ".jsonl")):
                if beside != event.transcript:
                    yield from module.with_subagents(beside)
        return
    named = session_file(event, home, environment)
    if named and os.path.exists(named):
        yield from module.with_subagents(named)
        return
    yield from _recent(module.locations(home, environment))


def session_file(event: Event, home: str, environment: dict[str, str]) -> str:
    """Where the agent keeps the event's session; empty where its name does not tell."""
    if not event.session or "/" in event.session or event.session in (".", ".."):
        return ""
    if event.agent == "copilot-cli":
        return os.path.join(folder(event.agent, home, environment), "session-state", event.session, "events.jsonl")
    if event.agent == "cline":
        sessions = folder(event.agent, home, environment, "sessions")
        return os.path.join(sessions, event.session, f"{event.session}.messages.json")
    if event.agent == "auggie":
        return os.path.join(folder(event.agent, home, environment), "sessions", f"{event.session}.json")
    return ""


def _recent(paths: Iterable[str]) -> list[str]:
    import time

    newest: list[tuple[float, str]] = []
    for one in paths:
        try:
            newest.append((os.lstat(one).st_mtime, one))
        except OSError:
            continue
    oldest = time.time() - 3600
    return [one for changed, one in sorted(newest, reverse=True)[:RECENT_FILES] if changed > oldest]
