"""Which file each agent reads; tests/agents/test_prompt_clients.py shows it with the real ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..domain.persona_tables import Persona
from . import persona_files, workflow_files
from .source import Prompt

SKILL_READERS = ("codex", "gemini-cli", "qwen-code", "copilot-cli", "opencode", "cline", "auggie")


class Target(NamedTuple):
    """One kind of file: `path` with {stem} or {persona}, the agents that load it, and how a person starts it there.

    Exactly one of `prompt` and `persona` renders it.
    """

    path: str
    readers: tuple[str, ...]
    start: str
    prompt: Callable[[Prompt], str] | None = None
    persona: Callable[[Persona], str] | None = None


class File(NamedTuple):
    """One file to write."""

    path: str
    text: str
    readers: tuple[str, ...]
    start: str


PLAN_START = "nothing loads it by itself: name the file in your prompt"
TARGETS = (
    Target(".agents/skills/{stem}/SKILL.md", SKILL_READERS, "ask for the skill {stem}", workflow_files.skill),
    Target(".claude/skills/{stem}/SKILL.md", ("claude-code",), "/{stem}", workflow_files.skill),
    Target(".augment/commands/{stem}.md", ("auggie",), "/{stem}", workflow_files.command),
    Target(".cline/workflows/{stem}.prompt.md", ("cline",), "/{stem}.prompt", workflow_files.plan_file),
    Target(".github/prompts/{stem}.prompt.md", (), "/{stem} in VS Code", workflow_files.prompt_file),
    Target(
        ".claude/agents/{persona}.md",
        ("claude-code", "copilot-cli", "auggie"),
        "sub-agent {persona}",
        persona=persona_files.claude_agent,
    ),
    Target(
        ".github/agents/{persona}.agent.md", ("copilot-cli",), "--agent {persona}", persona=persona_files.copilot_agent
    ),
    Target(".augment/agents/{persona}.md", ("auggie",), "sub-agent {persona}", persona=persona_files.auggie_agent),
    Target(".opencode/agents/{persona}.md", ("opencode",), "--agent {persona}", persona=persona_files.opencode_agent),
    Target(".qwen/agents/{persona}.md", ("qwen-code",), "sub-agent {persona}", persona=persona_files.qwen_agent),
)
# Agents by the folder of the original plan's file, which is written with them.
_PLAN = {".augment/workflows": "auggie", ".cline/workflows": "cline", ".github/workflows": "copilot-cli"}


def files_for(agents: Sequence[str] | None, prompts: Sequence[Prompt], personas: Sequence[Persona]) -> list[File]:
    """The files of those agents (None: of all, VS Code's included)."""
    found = []
    for target in TARGETS:
        if agents is None or set(agents) & set(target.readers):
            found += _files(target, prompts, personas)
    written = {file.path for file in found}
    for prompt in prompts:
        if prompt.plan_folder is not None and (agents is None or _PLAN[prompt.plan_folder] in agents):
            path = f"{prompt.plan_folder}/{prompt.stem}.prompt.md"
            if path not in written:
                found.append(File(path, workflow_files.plan_file(prompt), (), PLAN_START))
    return found


def places(agents: Sequence[str] | None) -> list[str]:
    """The paths of those agents' files (None: of all), with `*` for the name of a workflow or persona."""
    found = [re.sub(r"{\w+}", "*", t.path) for t in TARGETS if agents is None or set(agents) & set(t.readers)]
    found += [f"{folder}/*.prompt.md" for folder, agent in _PLAN.items() if agents is None or agent in agents]
    return list(dict.fromkeys(found))


def _files(target: Target, prompts: Sequence[Prompt], personas: Sequence[Persona]) -> list[File]:
    if target.prompt is not None:
        found = [({"stem": prompt.stem}, target.prompt(prompt)) for prompt in prompts]
    else:
        assert target.persona is not None
        found = [({"persona": persona.name}, target.persona(persona)) for persona in personas]
    return [
        File(target.path.format(**names), text, target.readers, target.start.format(**names)) for names, text in found
    ]
