"""Ends the command of `hypertool run` when a blocking budget is spent, where no hook stops its agent within a turn."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .hooks.budgets import message, standing
from .hooks.events import Event
from .ledger.attribution import Attribution
from .ledger.ledger import Ledger
from .origins import SLACK_SECONDS, is_of, origin
from .processes import end, family, start_of
from .reading.read import read_file
from .reading.registry import reader

# Gemini CLI, Claude Code, Cline and Qwen Code are stopped by their hooks, which leave the session open.
HELD = ("codex", "copilot-cli", "auggie", "opencode", "aider")
_GRACE_SECONDS = 2.0
_HEAD_BYTES = 1 << 20


class Held:
    """The command of an agent (empty: unknown, never ended); `why` says which budget has ended it, if one has."""

    def __init__(self, agent: str, command: Sequence[str], started: float, whose: Attribution) -> None:
        self.why = ""
        self._agent, self._command, self._started, self._whose = agent, command, started, whose
        self._directory = os.getcwd()
        self._process, self._ticks = 0, 0
        self._terminal: list[Any] | None = None
        self._sessions: dict[str, str] = {}

    def begin(self, process: int) -> None:
        """Note the command's process id, and how its terminal is set."""
        self._process, self._ticks = process, start_of(process)
        self._terminal = _terminal()

    def close(self) -> None:
        """After the command's end: the terminal of one that was ended is as it was before."""
        if self.why and self._terminal is not None:
            import termios

            with contextlib.suppress(termios.error):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    @property
    def possible(self) -> bool:
        """Whether the command's agent is one that this ends."""
        return self._agent in HELD

    def wanted(self, ledger: Ledger) -> bool:
        """Whether any budget could end this command."""
        return self.possible and any(one.on_exceed == "block" for one in ledger.catalogue.personas.values())

    def check(self, ledger: Ledger, files: Iterable[str]) -> bool:
        """End the command if the persona of one of its sessions has nothing left; `files` are its agent's new ones.

        Returns whether it was ended.
        """
        if self.why or not self._ticks or not self.wanted(ledger):
            return bool(self.why)
        for session in ("", *self._of(ledger, files)):
            bound = ledger.binding(self._agent, session, ledger.now()) if session else self._whose
            found = standing(ledger, Event(self._agent, "", "", session, "", self._directory), bound)
            if found is not None and found.blocks:
                self.why = message(found)
                with ledger.writing():
                    ledger.count_blocked(self._agent, found.persona.name)
                if start_of(self._process) == self._ticks:
                    end(family(self._process), (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), _GRACE_SECONDS)
                return True
        return False

    def _of(self, ledger: Ledger, files: Iterable[str]) -> Iterator[str]:
        """The command's sessions; of an agent that keeps no directory, only one that is alone."""
        found = set()
        for path in files:
            for session in self._in(ledger, path):
                if is_of(
                    self._command, self._started, self._directory, origin(self._agent, path, session), self._agent
                ):
                    found.add(session)
        if self._agent != "auggie" or len(found) == 1:
            yield from found

    def _in(self, ledger: Ledger, path: str) -> list[str]:
        module = reader(self._agent)
        if module.FORMAT == "database":
            since = (self._agent, self._started - SLACK_SECONDS)
            rows = ledger.connection.execute("SELECT DISTINCT session FROM calls WHERE agent = ? AND at >= ?", since)
            return [session for (session,) in rows]
        if path not in self._sessions:
            calls = read_file(module, path, lambda *_: None, _HEAD_BYTES).calls
            if not calls:
                return []
            self._sessions[path] = calls[0].session
        return [self._sessions[path]]


def _terminal() -> list[Any] | None:
    """How the terminal of this process group is set; None without one."""
    import termios

    with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
        if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
            return termios.tcgetattr(sys.stdin)
    return None
