"""Every reader by the agent's name; a reader is imported when its agent is read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from ...domain.instruments import AGENTS
from ..calls import Read


class Reader(Protocol):
    """What a reader's module has; FORMAT decides which of the three read functions."""

    NAME: str
    FORMAT: str

    def locations(self, home: str, environment: dict[str, str], /) -> Iterator[str]:
        """Every file of that agent's sessions."""

    def with_subagents(self, session: str, /) -> Iterator[str]:
        """One session's file and those of its sub-agents."""


class LinesReader(Reader, Protocol):
    """A file that grows by JSON lines; a line without any of MARKERS tells of no call and is not parsed."""

    MARKERS: tuple[bytes, ...]

    def read(self, record: dict[str, Any], context: dict[str, str], /) -> Read:
        """The call that a line tells of."""


class DocumentReader(Reader, Protocol):
    """A JSON document that is written anew."""

    def read_document(self, document: dict[str, Any], /) -> Iterator[Read]:
        """Every call in it."""


class DatabaseReader(Reader, Protocol):
    """A SQLite database."""

    def read_database(self, path: str, since: int, /) -> Iterator[tuple[int, Read]]:
        """Calls changed since then, with their times."""


def reader(agent: str) -> Any:
    """The reader of that agent. Raises ValueError that names the known ones."""
    if agent not in AGENTS:
        raise ValueError(f"unknown agent {agent!r:.60}, expected one of {', '.join(AGENTS)}")
    return import_module("." + agent.replace("-", "_"), __package__)
