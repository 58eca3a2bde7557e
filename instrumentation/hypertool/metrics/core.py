"""What stands behind a collector: recorder, personas, label limits and the way into the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ..domain.budget_windows import SHARES, shares_reached, window_start
from ..domain.instruments import LABEL_OVERFLOW
from ..domain.labels import LabelGuard
from ..domain.personas import Catalogue, Persona, load_catalogue
from ..errors import StoreUnavailable
from ..recording.cells import Clock
from ..recording.recorder import Recorder
from ..runtime.late_imports import loading
from ..runtime.logs import log
from ..runtime.settings import disabled
from ..store.budgets import used_since
from ..store.snapshot_format import Window
from ..store.store import Store
from ..store.totals import Totals
from .publisher import Publisher

HOST_VIEW_SECONDS = 0.25


class Core:
    """The numbers, the personas, the label limits, and the way into the store (None: nothing is published)."""

    def __init__(self, catalogue: Catalogue, clock: Clock | None = None, store: Store | None = None) -> None:
        self.catalogue = catalogue
        self.store = store
        self.recorder = Recorder(clock, own_ledger=store is None)
        self.publisher = Publisher(self.recorder, catalogue, store) if store is not None else None
        self.guard = LabelGuard(self._overflow, self._admit if store is not None else None, catalogue.workflows)
        self._elsewhere = Totals()
        self._told: dict[str, tuple[int, int, int]] = {}
        self._elsewhere_at = float("-inf")

    def publish_soon(self) -> None:
        """Publish now, or within 20 ms in a burst; does nothing without a store."""
        if self.publisher is not None:
            self.publisher.publish_soon()

    def _overflow(self, label: str) -> None:
        self.recorder.add(1, LABEL_OVERFLOW.key, label)

    def _admit(self, label: str, value: str, limit: int) -> bool:
        assert self.store is not None
        try:
            return self.store.labels.admit(label, value, limit)
        except (OSError, StoreUnavailable):  # The publisher reports problems of the store.
            return self.guard.admit_here(label, value, limit)

    def used_in_window(self, persona: Persona) -> int:
        """The whole host's use of an hour or day budget; other processes as of their last snapshots."""
        since = self._window(persona)
        return used_since(self.recorder.windows, since) + used_since(self._elsewhere.windows, since)

    def _window(self, persona: Persona) -> Window:
        if self.publisher is not None and time.monotonic() - self._elsewhere_at > HOST_VIEW_SECONDS:
            self.publisher.resets()
            self._elsewhere = self.publisher.elsewhere()
            self._elsewhere_at = time.monotonic()
        recorder = self.recorder
        return (
            persona.name,
            window_start(persona.window, recorder.clock.time()),
            recorder.resets_seen.get(persona.name, 0),
        )

    def reserved_elsewhere(self, persona: str) -> int:
        """Tokens that other processes' calls in flight may still use of an hour or day budget."""
        return self._elsewhere.reserved.get(persona, 0)

    @contextlib.contextmanager
    def reserving(self) -> Iterator[None]:
        """Exclusive access to hour and day budgets: no other process reserves inside the block, their use is exact, and
        they see this process's reservations when it ends.
        """
        if self.store is None or self.publisher is None:
            yield
            return
        with self.store.reserving():
            self._elsewhere_at = float("-inf")
            yield
            self.publisher.publish()

    def shares_reached(self, persona: Persona) -> tuple[int, ...]:
        """The thresholds (per cent) of an hour or day budget that the host has reached, each announced once a window.

        Publishes before it reads: if two processes reach a threshold together, at least one of them sees it.
        """
        _, start, reset = self._window(persona)
        last = self._told.get(persona.name, (0, 0, 0))
        told = last[2] if last[:2] == (start, reset) else 0
        if told == SHARES[-1]:
            return ()
        if self.publisher is not None:
            self.publisher.publish()
            self._elsewhere_at = float("-inf")
        shares = shares_reached(self.used_in_window(persona), persona.tokens, told)
        if not shares:
            return ()
        self._told[persona.name] = (start, reset, shares[-1])
        if self.store is not None:
            with contextlib.suppress(OSError, StoreUnavailable):  # The publisher reports problems of the store.
                return self.store.thresholds.claim(persona.name, start, reset, shares)
        return shares

    def reset(self, persona: Persona) -> None:
        """Refill a budget: in this process, and on the whole host for windows hour and day."""
        number = None
        if self.store is not None and persona.window != "run":
            try:
                number = self.store.reset_budget(persona.name)
            except StoreUnavailable as error:
                log.error("the budget of %s was reset only in this process: %s", persona.name, error)
        self.recorder.reset_budget(persona.name, number)
        self._told.pop(persona.name, None)
        self._elsewhere_at = float("-inf")


_shared: Core | None = None


def shared() -> Core:
    """The core of this process, created at first use."""
    global _shared
    if _shared is None:
        with loading:
            if _shared is None:
                store = None if disabled() else Store.locate()
                _shared = Core(load_catalogue(strict=False), store=store)
    return _shared
