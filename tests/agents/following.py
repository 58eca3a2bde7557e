"""A model that follows a prompt workflow: it asks the agent's shell for the file's commands, one a call."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_models import FakeModels

_FAILED = re.compile(r"hypertool gate: exit code [1-9]")


@dataclass
class FollowingModels(FakeModels):
    """`read` is the command that shows the prompt file where the agent does not put it into its first request.

    `work` has a command to do after the switch to a persona. It ends at the first gate that fails, as the file says.
    `switched` has the number of the call that asked for the switch to each persona.
    """

    read: str = ""
    work: Mapping[str, str] = field(default_factory=dict)
    switched: dict[str, int] = field(default_factory=dict)
    commands_left: list[str] | None = None

    def next_call(self, dialect: str, tools: bool) -> tuple[int, Any] | None:
        """The next command of the file."""
        call = super().next_call(dialect, False)
        if call is None or not tools:
            return call
        return call[0], self._next(call[0], "\n".join(_texts(json.loads(self.bodies[-1]))))

    def _next(self, number: int, seen: str) -> str | None:
        if _FAILED.search(seen):
            return None
        if self.commands_left is None:
            self.commands_left = self._commands(seen)
            if self.commands_left is None:
                command, self.read = self.read, ""
                return command or None
        if not self.commands_left:
            return None
        command = self.commands_left.pop(0)
        words = shlex.split(command)
        if words[:2] == ["tta-persona", "switch"]:
            self.switched[words[2]] = number
        return command

    def _commands(self, seen: str) -> list[str] | None:
        # Some agents number the lines of a file that they show.
        blocks = re.findall(r"```bash\n(.*?)\n```", re.sub(r"^ *\d+(?:\t|→|\| )", "", seen, flags=re.M), re.DOTALL)
        found = [line for block in blocks for line in block.splitlines() if line]
        if "tta-persona end" not in found:
            return None
        found = found[: found.index("tta-persona end") + 1]
        for persona, command in self.work.items():
            place = next(n for n, line in enumerate(found) if line.startswith(f"tta-persona switch {persona} "))
            found.insert(place + 1, command)
        return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
