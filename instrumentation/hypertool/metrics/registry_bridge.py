"""Isolated collectors: each has its own core, exposed in a registry of the application."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..domain.personas import Catalogue, load_catalogue
from ..recording.cells import Clock
from ..runtime.logs import once
from .core import Core

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

_lock = threading.Lock()
_isolated: weakref.WeakSet[Core] = weakref.WeakSet()
_bridges: weakref.WeakKeyDictionary[CollectorRegistry, RegistryBridge] = weakref.WeakKeyDictionary()


class RegistryBridge:
    """A Prometheus collector: the sum of the isolated cores in one registry."""

    def __init__(self) -> None:
        self.cores: list[Core] = []

    def describe(self) -> Iterable[Metric]:
        """Announce no names, so that registration cannot clash with other collectors."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The sum of the collectors in this registry."""
        from ..store.snapshot_reader import from_data
        from ..store.totals import Totals
        from ..store.view import Merge
        from .exposition import families

        if not self.cores:
            return []
        totals = Totals()
        for core in self.cores:
            totals.add(from_data(core.recorder.snapshot(core.catalogue.personas, core.catalogue.loaded_at)))
        core = self.cores[-1]
        return families(Merge(totals, len(self.cores), 0, time.time()), core.catalogue, {}, core.recorder.clock.time())


def isolated(registry: CollectorRegistry, catalogue: Catalogue | None, clock: Clock | None) -> Core:
    """A new core that is exposed in `registry`; several cores in one registry are added up."""
    core = Core(catalogue or load_catalogue(strict=False), clock)
    _isolated.add(core)
    try:
        from . import exposition  # noqa: F401 - the first to need the Prometheus client
    except ImportError:
        once.warn("registry", "prometheus_client is not installed: metrics are recorded, but not served")
        return core
    with _lock:
        bridge = _bridges.get(registry)
        if bridge is None:
            bridge = _bridges[registry] = RegistryBridge()
            registry.register(bridge)
        bridge.cores.append(core)
    return core


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for core in list(_isolated):
        core.recorder.renew_lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
