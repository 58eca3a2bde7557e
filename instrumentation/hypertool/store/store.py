"""The store as the exporter, the command line and a process's collector see it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from ..domain.personas import Catalogue, load_catalogue
from ..errors import StoreUnavailable
from ..runtime.foreign_files import locked
from ..runtime.light_typing import NamedTuple
from ..runtime.logs import once
from . import directory as places
from .archive import Archive
from .budgets import BudgetState, budgets, limits
from .directory import StateDirectory
from .labels import AdmittedLabels
from .requests import Resets, Thresholds
from .snapshot_format import Window
from .view import Merge, View, require_readable
from .writer import SnapshotWriter

# With a blocking budget, waiting is better than overspending; an LLM call itself takes seconds.
RESERVE_SECONDS = 0.75
RESERVATIONS = "reservations.lock"


class HostState(NamedTuple):
    """Everything the host has counted, by label values in the order of the metric's labels."""

    tokens: dict[tuple[str, str, str], int]
    switches: dict[tuple[str, str, str], int]
    gates: dict[tuple[str, str, str], int]
    stages: dict[tuple[str, str, str], int]
    requests: dict[tuple[str, str, str], int]
    token_kinds: dict[tuple[str, str, str], int]
    cost_usd: dict[tuple[str, str], float]
    usage_missing: dict[tuple[str, str, str], int]
    budgets: dict[str, BudgetState]
    writers: int
    unreadable: int


class Store:
    """One located state directory."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.path = directory.path
        self.note = directory.note
        self.labels = AdmittedLabels(directory)
        self.archive = Archive(directory, self.labels)
        self.view = View(directory, self.archive)
        self.resets = Resets(directory)
        self.thresholds = Thresholds(directory)

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

    def merge(self, catalogue: Catalogue | None = None) -> Merge:
        """The current exact merge; what the catalogue's workflows declare is admitted. Raises StoreUnavailable."""
        if catalogue is not None:
            self.archive.admission.declare(catalogue.workflows)
        return self.view.read()

    def fold(self, catalogue: Catalogue | None = None) -> int:
        """Fold finished processes into the archive; returns how many. Raises OSError or StoreUnavailable.

        With a catalogue, hour and day windows that the host has overspent are counted too.
        """
        self.directory.ensure()
        if catalogue is not None:
            self.archive.admission.declare(catalogue.workflows)
        return self.archive.fold(time.time(), self._overspent(catalogue) if catalogue is not None else ())

    def _overspent(self, catalogue: Catalogue) -> list[Window]:
        totals = self.merge().totals
        if not totals.windows:
            return []
        known = limits(catalogue, totals)
        return [w for w, used in totals.windows.items() if w[0] in known and used > known[w[0]].tokens]

    def begin_service(self) -> None:
        """Create the files that a host's service owns and members use. Raises OSError or StoreUnavailable."""
        if self.directory.served and self.directory.may_fold():
            from .fingerprint_key import fingerprint_key

            fingerprint_key(self.directory)
            with self.directory.open_requests() as folder:
                os.close(folder.create(RESERVATIONS, 0o660, os.O_RDWR | os.O_CREAT))

    def reset_budget(self, persona: str) -> int:
        """Refill a persona's budget in every process of the host. Raises StoreUnavailable."""
        try:
            return self.resets.add(persona)
        except OSError as error:
            raise self.directory.unavailable(error) from None

    @contextlib.contextmanager
    def reserving(self) -> Iterator[None]:
        """Lock reservations of hour and day budgets; waits briefly for the lock, then proceeds without it."""
        with contextlib.ExitStack() as held:
            try:
                self.directory.ensure()
                folder = held.enter_context(self.directory.open_requests())
                if held.enter_context(locked(folder, RESERVATIONS, RESERVE_SECONDS, 0o660)) is None:
                    raise TimeoutError(f"another process holds {folder.path / RESERVATIONS}")
            except (OSError, StoreUnavailable) as error:
                reason: Exception = error
                if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                    reason = self.directory.unavailable(error)
                once.warn("reservations", f"calls of several processes may overspend a budget together: {reason}")
            yield

    def read(self, catalogue: Catalogue | None = None) -> HostState:
        """Everything the host has counted, in finished and running processes. Raises StoreUnavailable."""
        require_readable(self.directory)
        catalogue = catalogue or load_catalogue(strict=False)
        merge = self.merge(catalogue)
        totals = merge.totals
        return HostState(
            tokens=_by_labels(totals.counters, "tok"),
            switches=_by_labels(totals.counters, "sw"),
            gates=_by_labels(totals.counters, "qg"),
            stages={key[1:]: sum(cells[:-1]) for key, cells in totals.histograms.items() if key[0] == "st"},  # type: ignore[misc]
            requests=_by_labels(totals.counters, "llm"),
            token_kinds=_by_labels(totals.counters, "ltk"),
            cost_usd={(key[1], key[2]): nano / 1e9 for key, nano in totals.counters.items() if key[0] == "usd"},
            usage_missing=_by_labels(totals.counters, "miss"),
            budgets=budgets(catalogue, totals, self.resets.read(), time.time()),
            writers=merge.writers,
            unreadable=merge.unreadable,
        )


def _by_labels(counters: dict[tuple[str, ...], int], metric: str) -> dict[tuple[str, str, str], int]:
    return {(key[1], key[2], key[3]): value for key, value in counters.items() if key[0] == metric}
