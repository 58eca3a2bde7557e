"""serve_metrics: for long-lived processes on hosts without the exporter service."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ..domain.personas import load_catalogue
from ..errors import HypertoolError
from ..runtime.logs import log, once
from ..runtime.settings import disabled
from ..store.store import Store
from .addresses import Address, PortTaken, listen_address

if TYPE_CHECKING:
    from .exporter import Exporter

_served: Exporter | None = None
_lock = threading.Lock()


def serve_metrics() -> Address | None:
    """Serve the host's metrics from this process; returns the address, or None where another process serves them.

    Raises nothing: a port that is taken is logged once, anything else is logged.
    """
    global _served
    if disabled():
        return None
    with _lock:
        if _served is None:
            _served = _serve()
        return _served.address if _served is not None else None


def _serve() -> Exporter | None:
    try:
        from .exporter import Exporter
    except ImportError as error:
        once.warn(
            "serve_metrics",
            f"metrics are recorded, but not served from this process: {error}; install prometheus-client",
        )
        return None
    try:
        address = listen_address()
        store = Store.locate()
        store.directory.ensure()
        exporter = Exporter(address, store, load_catalogue(strict=False), reload=True)
    except PortTaken as error:
        once.warn("serve_metrics", f"not serving metrics from this process: {error}")
        return None
    except HypertoolError as error:
        log.error("not serving metrics from this process: %s", error)
        return None
    exporter.start()
    return exporter


def _after_fork_in_child() -> None:
    global _served, _lock
    _lock = threading.Lock()
    if _served is not None:
        _served.close_inherited()
        _served = None


os.register_at_fork(after_in_child=_after_fork_in_child)
