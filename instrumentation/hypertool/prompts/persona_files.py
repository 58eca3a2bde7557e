"""Persona files: one persona in the dialect of each agent that has such files."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.persona_tables import Persona
from .text import Value, block, front_matter, quoted

# What a persona's `tools` are called by each agent; a persona without `tools` may use all of them.
TOOLS: dict[str, dict[str, tuple[str, ...]]] = {
    "claude-code": {
        "read": ("Read",),
        "search": ("Grep", "Glob"),
        "edit": ("Edit", "Write"),
        "execute": ("Bash",),
        "web": ("WebFetch", "WebSearch"),
    },
    "copilot-cli": {
        "read": ("read",),
        "search": ("search",),
        "edit": ("edit",),
        "execute": ("execute",),
        "web": ("web",),
    },
    "auggie": {
        "read": ("view",),
        "search": ("codebase-retrieval", "grep-search"),
        "edit": ("str-replace-editor", "save-file", "remove-files"),
        "execute": ("launch-process", "read-process", "write-process", "kill-process"),
        "web": ("web-fetch", "web-search"),
    },
    "opencode": {
        "edit": ("edit",),
        "execute": ("bash",),
        "web": ("webfetch",),
    },
    "qwen-code": {
        "read": ("read_file", "list_directory"),
        "search": ("grep_search", "glob"),
        "edit": ("edit", "write_file"),
        "execute": ("run_shell_command",),
        "web": ("web_fetch",),
    },
}
_SERVER = {"claude-code": "mcp__{}", "copilot-cli": "{}/*", "qwen-code": "mcp__{}"}


def claude_agent(persona: Persona) -> str:
    """A sub-agent of Claude Code; its name is enough to count its calls as the persona's."""
    keys: dict[str, Value] = {"name": persona.name, "description": _description(persona)}
    tools = _tools("claude-code", persona)
    if tools:
        keys["tools"] = ", ".join(tools)
    return front_matter(keys) + "\n" + _body(persona, switches=False)


def copilot_agent(persona: Persona) -> str:
    """A custom agent of Copilot."""
    return _with_tools("copilot-cli", persona)


def qwen_agent(persona: Persona) -> str:
    """A sub-agent of Qwen Code."""
    return _with_tools("qwen-code", persona)


def auggie_agent(persona: Persona) -> str:
    """A sub-agent of Auggie. Where the persona has MCP servers, its tools stay unlimited: it cannot name theirs."""
    return _with_tools("auggie", persona)


def opencode_agent(persona: Persona) -> str:
    """An agent of opencode, the only one that itself refuses changes to the restricted paths."""
    lines = [f"description: {quoted(_description(persona))}", "mode: all"]
    rules: list[str] = []
    for tool, names in TOOLS["opencode"].items():
        if persona.tools and tool not in persona.tools:
            rules += [f"  {name}: deny" for name in names]
        elif tool == "edit" and persona.restricted_paths:
            rules += ["  edit:", '    "*": allow', *(f"    {quoted(p)}: deny" for p in persona.restricted_paths)]
    if rules:
        lines += ["permission:", *rules]
    return "\n".join(["---", *lines, "---", ""]) + "\n" + _body(persona)


def _with_tools(agent: str, persona: Persona) -> str:
    keys: dict[str, Value] = {"name": persona.name, "description": _description(persona)}
    tools = _tools(agent, persona)
    if tools:
        keys["tools"] = tools
    return front_matter(keys) + "\n" + _body(persona)


def _tools(agent: str, persona: Persona) -> Sequence[str]:
    """The names of the persona's tools, its servers' included; empty where all are allowed."""
    if not persona.tools or (agent == "auggie" and persona.servers):
        return []
    names = [name for tool in persona.tools for name in TOOLS[agent].get(tool, ())]
    return [*names, *(_SERVER[agent].format(server) for server in persona.servers if agent in _SERVER)]


def _description(persona: Persona) -> str:
    return persona.description or f"Works as the persona {persona.name}."


def _body(persona: Persona, switches: bool = True) -> str:
    window = {"run": "a run", "hour": "an hour", "day": "a day"}[persona.window]
    begin = "Begin with this command, so that your work is counted as yours:\n\n" if switches else ""
    parts = [
        f"You are the {persona.name}. {_description(persona)}\n",
        *([begin + block(f"tta-persona switch {persona.name}")] if switches else []),
        f"- Your budget is {persona.tokens} tokens {window}. Read and print only what the task needs.\n"
        + _restricted(persona)
        + "- Leave the work of other personas to them, and say what is left for whom.\n",
    ]
    return "\n".join(parts)


def _restricted(persona: Persona) -> str:
    if not persona.restricted_paths:
        return ""
    paths = ", ".join(f"`{path}`" for path in persona.restricted_paths)
    return f"- Never change these paths: {paths}. Report what has to change there.\n"
