"""A ledger of a test, and what the host's store got of it."""

from __future__ import annotations

from pathlib import Path

from hypertool.agents.ledger.attribution import Attribution
from hypertool.agents.ledger.ledger import Ledger
from hypertool.agents.reading.read import read_file
from hypertool.agents.reading.registry import reader
from hypertool.domain.personas import load_catalogue
from hypertool.store.store import Store
from hypertool.store.totals import Totals

BACKEND = Attribution("backend-engineer", "feature-implementation", "")


def open_ledger() -> Ledger:
    """The ledger of the test's own settings."""
    return Ledger(load_catalogue())


def take_in(ledger: Ledger, agent: str, home: Path, whose: Attribution = BACKEND, source: str = "session_file") -> int:
    """Read every session of an agent in a home into the ledger, as the service does; returns the new calls."""
    module, new = reader(agent), 0
    for path in module.locations(str(home), {}):
        with ledger.writing():
            new += ledger.ingest(agent, read_file(module, path, ledger.position), source, "project", whose)
    return new


def stored() -> Totals:
    """What the store has counted."""
    return Store.locate().merge().totals


def counted(metric: str, *labels: str) -> int:
    """The sum of a counter of the store (by its short key) over all series whose labels begin so."""
    return sum(
        value for key, value in stored().counters.items() if key[0] == metric and key[1 : 1 + len(labels)] == labels
    )


def remaining(persona: str = "backend-engineer") -> int:
    """What the host's endpoint says is left of a budget."""
    return Store.locate().read().budgets[persona].remaining
