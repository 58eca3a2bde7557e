"""The service's round over the sessions of coding agents of its own user: for agents without hooks, and for costs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from ..agents.changes import FRESH_SECONDS, changed
from ..agents.collecting import collect
from ..agents.ledger import tending
from ..agents.ledger.ledger import Ledger
from ..runtime.logs import log
from .agent_telemetry import AgentTelemetry

EVERY_SECONDS = 2.0
PRICE_SECONDS = 30.0
FOLD_SECONDS = 3600.0


class AgentSessions:
    """Reads what changed every two seconds, in a thread of its own that nothing ends but `stop`."""

    def __init__(self, home: str, environment: Mapping[str, str], telemetry: AgentTelemetry | None = None) -> None:
        self._telemetry = telemetry
        self._home = home
        self._environment = environment
        self._stamps: dict[str, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._complaint: str | None = None
        self._unpriced = False
        self._priced = self._folded = float("-inf")

    def start(self) -> None:
        """Begin, in the background."""
        threading.Thread(target=self._loop, name="hypertool-agents", daemon=True).start()

    def stop(self) -> None:
        """End after the round under way."""
        self._stop.set()

    def round(self) -> int:
        """Count what changed since the last round; returns the new calls. The ledger is opened only if there is any."""
        files = list(changed(self._home, self._environment, time.time() - FRESH_SECONDS, self._stamps))
        now = time.monotonic()
        due = self._unpriced and now - self._priced >= PRICE_SECONDS
        told = self._telemetry is not None and self._telemetry.due()
        if not files and not due and not told:
            return 0
        ledger = Ledger()
        try:
            new, held = collect(ledger, files, self._home, self._environment)
            self._stamps.update((file.path, file.stamp) for file in files if file.path not in held)
            if self._telemetry is not None and told:
                new += self._telemetry.count(ledger)
            self._unpriced = self._unpriced or new > 0
            if due or (new and self._priced == float("-inf")):
                self._unpriced = tending.price(ledger) == tending.AT_ONCE
                self._priced = now
            if now - self._folded >= FOLD_SECONDS:
                tending.fold(ledger, time.time())
                self._folded = now
                self._stamps = {path: stamp for path, stamp in self._stamps.items() if os.path.lexists(path)}
        finally:
            ledger.close()
        return new

    def _loop(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            try:
                self.round()
                complaint = None
            except Exception as error:  # whatever it is, the next round may go well: this thread must not end
                complaint = f"agents' sessions cannot be read for now (nothing is lost): {error}"
            if complaint != self._complaint and complaint is not None:
                log.error("%s", complaint)
            self._complaint = complaint
