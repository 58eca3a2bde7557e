"""Every reader by the agent's name; a reader is imported when its agent is read."""

from __future__ import annotations

from collections.abc import Iterator

from ...domain.instruments import AGENTS
from ...runtime.light_typing import Any, Protocol
from ..calls import Read


class Reader(Protocol):
    """The interface of a reader's module; FORMAT determines which of the three read functions it has."""

    NAME: str
    FORMAT: str

    def locations(self, home: str, environment: dict[str, str], /) -> Iterator[str]:
        """Every file of that agent's sessions."""

    def with_subagents(self, session: str, /) -> Iterator[str]:
        """One session's file and those of its sub-agents."""


class LinesReader(Reader, Protocol):
    """A growing file of JSON lines; a line without any of MARKERS contains no call and is not parsed.

    Where a file's place tells something, `opening(path)` gives the context that its reading begins with.
    """

    MARKERS: tuple[bytes, ...]

    def read(self, record: dict[str, Any], context: dict[str, str], /) -> Read:
        """The call in a line."""


class DocumentReader(Reader, Protocol):
    """A JSON document that is rewritten as a whole."""

    def read_document(self, document: dict[str, Any], /) -> Iterator[Read]:
        """Every call in it."""


class DatabaseReader(Reader, Protocol):
    """A SQLite database; a reading that yields ROWS_AT_ONCE keys is not the last one."""

    ROWS_AT_ONCE: int

    def read_database(
        self, path: str, after: tuple[int, int], now: int, /
    ) -> Iterator[tuple[tuple[int, int] | None, Read]]:
        """Calls changed after that time and row, in this order; without a key those that each reading repeats."""


def reader(agent: str) -> Any:
    """The reader of that agent. Raises ValueError that names the known ones."""
    if agent not in AGENTS:
        raise ValueError(f"unknown agent {agent!r:.60}, expected one of {', '.join(AGENTS)}")
    # Like import_module of importlib, which takes a hook a third of a millisecond to import.
    return __import__(f"{__package__}.{agent.replace('-', '_')}", fromlist=["NAME"])
