"""The command lines of a stage: its agent with the prompt filled in, and its gate; how each is run and counted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ..domain.workflows import Stage, Workflow
from ..errors import ConfigError, StoreUnavailable
from ..runtime.logs import once

PLACEHOLDERS = ("prompt", "workflow", "stage", "persona", "chatmode", "tokens", "run_id")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")


def agent_of(workflow: Workflow, stage: Stage, given: str | None) -> str | None:
    """The command line of the stage's agent: the one given, else the stage's, else the workflow's."""
    return given or stage.agent or workflow.agent


def agent_command(line: str, values: Mapping[str, str]) -> list[str]:
    """The arguments of an agent's command line; no shell sees the values. Raises ConfigError for open quotes."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(
            f"the agent's command line {line!r:.120} cannot be split ({error}); close its quotes"
        ) from None
    if not words:
        raise ConfigError("the agent's command line is empty; expected one such as `claude -p {prompt}`")
    return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words]


def values_for(workflow: Workflow, stage: Stage, run_id: str, body: str) -> dict[str, str]:
    """What the placeholders of an agent's command line stand for."""
    found = {
        "workflow": workflow.name,
        "stage": stage.name,
        "persona": stage.persona,
        "chatmode": stage.chatmode,
        "tokens": str(stage.tokens),
        "run_id": run_id,
    }
    return {**found, "prompt": _prompt(workflow, stage, body)}


def _prompt(workflow: Workflow, stage: Stage, body: str) -> str:
    place = workflow.stages.index(stage) + 1
    head = (
        f"You are the persona {stage.persona}. Do the stage {stage.name} ({place} of {len(workflow.stages)}) of the "
        f"workflow {workflow.name}, and nothing of the other stages. Its quality gate is run when you have finished."
    )
    if stage.gate:
        head += f" It is this command: {stage.gate}"
    return "\n\n".join(part for part in (head, stage.prompt or "", body.strip()) if part)


def gate_command(stage: Stage) -> list[str]:
    """The gate as a shell runs it."""
    return ["/bin/sh", "-c", stage.gate or "true"]


class StageTokens:
    """How many tokens a stage's commands use: what the ledger of agents has of them, else what the host has counted.

    The second is for programs that use this library; it includes other processes of the persona and chatmode. `killed`
    is for a try that ended unseen: calls that were counted before this count as well.
    """

    def __init__(self, workflow: str, persona: str, chatmode: str, started: float, killed: bool = False) -> None:
        self._workflow = workflow
        self._key = (persona, chatmode)
        self._started = started
        self._last = 0 if killed else self._last_call()
        self._before = self._counted()

    def used(self, workspace: str) -> int:
        """The tokens so far."""
        return self._of_agents(workspace) or max(0, self._counted() - self._before)

    def _of_agents(self, workspace: str) -> int:
        # By the order of the ledger too: the stage before may have ended in the same second.
        return self._asked(
            "SELECT sum(input + cache_read + cache_write + output + reasoning) FROM calls "
            "WHERE id > ? AND at >= ? AND workflow = ? AND workspace IN ('', ?)",
            (self._last, self._started - 1, self._workflow, workspace),
        )

    def _last_call(self) -> int:
        return self._asked("SELECT max(id) FROM calls", ())

    @staticmethod
    def _asked(query: str, values: tuple[object, ...]) -> int:
        from ..agents.ledger import location
        from ..agents.ledger.ledger import Ledger

        if not location.exists():
            return 0
        ledger = Ledger()
        try:
            row = ledger.connection.execute(query, values).fetchone()
        finally:
            ledger.close()
        return int(row[0] or 0)

    def _counted(self) -> int:
        from ..store.store import Store

        try:
            counted = Store.locate().read().tokens
        except StoreUnavailable as error:
            once.warn("stage-tokens", f"the tokens of stages are not known: {error}")
            return 0
        return sum(tokens for key, tokens in counted.items() if key[:2] == self._key)


def alive(process: tuple[int, int] | None) -> bool:
    """Whether the process of that id and start time still runs."""
    return process is not None and start_time(process[0]) == process[1]


def start_time(process: int) -> int | None:
    """When a process started, in clock ticks since the boot; None if it does not run."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] == b"Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
