"""Pieces of prompt files: front matter, code blocks, commands for a shell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

_SIMPLE = re.compile(r"[A-Za-z0-9_./:=@%+, -]+")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_PLAIN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

Value = str | int | bool | Sequence[str] | Mapping[str, str]


def front_matter(keys: Mapping[str, Value]) -> str:
    """The keys as YAML between two fences; texts are quoted where YAML could read them as something else."""
    lines = ["---"]
    for key, value in keys.items():
        if isinstance(value, Mapping):
            lines += [f"{key}:", *(f"  {scalar(name)}: {scalar(inner)}" for name, inner in value.items())]
        elif isinstance(value, (str, bool, int)):
            lines.append(f"{key}: {scalar(value)}")
        else:
            lines.append(f"{key}: [{', '.join(scalar(item) for item in value)}]")
    return "\n".join([*lines, "---", ""])


def scalar(value: str | int | bool) -> str:
    """One value as YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
        return value
    return quoted(value)


def quoted(text: str) -> str:
    """A text as YAML, always in quotes."""
    return json.dumps(text, ensure_ascii=False)


def block(*commands: str) -> str:
    """Shell commands as a code block; its fence is longer than any in the commands."""
    text = "\n".join(commands)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}bash\n{text}\n{fence}\n"


def after_dashes(command: str) -> str:
    """A shell command as the arguments of `hypertool gate ... --`: as it is where it has no shell syntax."""
    if _SIMPLE.fullmatch(command) and "=" not in command.split()[0]:
        return command
    words = _words(command)
    if words[:2] == ["sh", "-c"] and len(words) == 3 and shlex.join(words) == command:
        return command
    return f"sh -c {shlex.quote(command)}"


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []
