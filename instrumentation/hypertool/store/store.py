"""The store as the exporter, the command line and a process's collector see it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import NamedTuple

from ..domain.personas import Catalogue, load_catalogue
from ..errors import StoreUnavailable
from ..recording.recorder import window_start
from ..runtime.logs import once
from . import directory as places
from .archive import Archive
from .directory import StateDirectory, locked
from .registers import RESERVE_SECONDS, AdmittedLabels, Resets, Thresholds
from .totals import Limit, Totals, Window
from .view import Merge, View, require_readable
from .writer import SnapshotWriter

LINGER_SECONDS = 15 * 60.0


class BudgetState(NamedTuple):
    """A persona's budget on this host, in tokens; `remaining` is negative when overspent."""

    limit: int
    remaining: int
    window: str
    exceeded: int


class HostState(NamedTuple):
    """Everything the host has counted, by label values in the order of the metric's labels."""

    tokens: dict[tuple[str, str, str], int]
    switches: dict[tuple[str, str, str], int]
    gates: dict[tuple[str, str, str], int]
    stages: dict[tuple[str, str, str], int]
    requests: dict[tuple[str, str, str], int]
    budgets: dict[str, BudgetState]
    writers: int
    unreadable: int


class Store:
    """One located state directory."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.path = directory.path
        self.note = directory.note
        self.archive = Archive(directory)
        self.view = View(directory, self.archive)
        self.resets = Resets(directory)
        self.thresholds = Thresholds(directory)
        self.labels = AdmittedLabels(directory)

    @classmethod
    def locate(cls) -> Store:
        """The store of this user on this host (HYPERTOOL_STATE_DIR and the rules of `store.directory`)."""
        return cls(places.locate())

    @property
    def is_host_store(self) -> bool:
        """Whether this is the directory that the host's service reads by default."""
        return self.path == places.HOST_DIRECTORY

    def writer(self) -> SnapshotWriter:
        """A snapshot file for this process."""
        return SnapshotWriter(self.directory)

    def merge(self) -> Merge:
        """The exact merge of now. Raises StoreUnavailable."""
        return self.view.read()

    def fold(self, catalogue: Catalogue | None = None) -> int:
        """Fold finished processes into the archive; returns how many. Raises OSError or StoreUnavailable.

        With a catalogue, hour and day windows that the host has overspent are counted too.
        """
        self.directory.ensure()
        return self.archive.fold(time.time(), self._overspent(catalogue) if catalogue is not None else ())

    def _overspent(self, catalogue: Catalogue) -> list[Window]:
        totals = self.merge().totals
        if not totals.windows:
            return []
        known = limits(catalogue, totals)
        return [w for w, used in totals.windows.items() if w[0] in known and used > known[w[0]].tokens]

    def reset_budget(self, persona: str) -> int:
        """Refill a persona's budget in every process of the host. Raises StoreUnavailable."""
        try:
            return self.resets.add(persona)
        except OSError as error:
            raise self.directory.unavailable(error) from None

    @contextlib.contextmanager
    def reserving(self) -> Iterator[None]:
        """No other process reserves of an hour or day budget meanwhile; waits a moment for it, and goes on without."""
        with contextlib.ExitStack() as held:
            try:
                self.directory.ensure()
                held.enter_context(locked(self.path / "reservations.lock", seconds=RESERVE_SECONDS))
            except (OSError, StoreUnavailable) as error:
                reason = self.directory.unavailable(error) if isinstance(error, OSError) else error
                once.warn("reservations", f"calls of several processes may overspend a budget together: {reason}")
            yield

    def read(self, catalogue: Catalogue | None = None) -> HostState:
        """Everything the host has counted, finished and running processes alike. Raises StoreUnavailable."""
        require_readable(self.directory)
        merge = self.merge()
        totals = merge.totals
        return HostState(
            tokens=_by_labels(totals.counters, "tok"),
            switches=_by_labels(totals.counters, "sw"),
            gates=_by_labels(totals.counters, "qg"),
            stages={key[1:]: sum(cells[:-1]) for key, cells in totals.histograms.items() if key[0] == "st"},  # type: ignore[misc]
            requests=_by_labels(totals.counters, "llm"),
            budgets=budgets(catalogue or load_catalogue(strict=False), totals, self.resets.read(), time.time()),
            writers=merge.writers,
            unreadable=merge.unreadable,
        )


def _by_labels(counters: dict[tuple[str, ...], int], metric: str) -> dict[tuple[str, str, str], int]:
    return {(key[1], key[2], key[3]): value for key, value in counters.items() if key[0] == metric}


def limits(catalogue: Catalogue, totals: Totals) -> dict[str, Limit]:
    """Every persona's budget; where processes disagree about it, the configuration that was loaded last wins."""
    known = {p.name: Limit(catalogue.loaded_at, p.tokens, p.window) for p in catalogue.personas.values()}
    for persona, limit in totals.limits.items():
        mine = catalogue.personas.get(persona)
        if mine is None or mine.source == "package" or limit.loaded_at > catalogue.loaded_at:
            known[persona] = limit
    return known


def used_since(windows: dict[Window, int], since: Window) -> int:
    """What was used in a window since the reset that it names, or after a later one.

    Later ones are there when the register of resets was lost: then a reset is forgotten, never a use.
    """
    return sum(used for window, used in windows.items() if window[:2] == since[:2] and window[2] >= since[2])


def budgets(catalogue: Catalogue, totals: Totals, resets: dict[str, int], now: float) -> dict[str, BudgetState]:
    """Every known persona's budget: the active run with the least left, else the last one for 15 minutes, else full."""
    known = limits(catalogue, totals)
    active: dict[str, int] = {}
    for persona, remaining, reset in totals.active:
        if persona not in known:
            continue
        left = remaining if reset >= resets.get(persona, 0) else known[persona].tokens
        active[persona] = min(active.get(persona, left), left)
    found = {}
    for persona, (_, tokens, window) in known.items():
        reset = resets.get(persona, 0)
        ended = totals.ended.get(persona)
        if window != "run":
            remaining = tokens - used_since(totals.windows, (persona, window_start(window, now), reset))
        elif persona in active:
            remaining = active[persona]
        elif ended is not None and ended.reset >= reset and now - ended.time < LINGER_SECONDS:
            remaining = ended.remaining
        else:
            remaining = tokens
        found[persona] = BudgetState(tokens, remaining, window, totals.counters.get(("exc", persona), 0))
    return found
