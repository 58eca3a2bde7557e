"""The life of a service: announce it, tell systemd, serve until a signal stops it."""

from __future__ import annotations

import logging
import sys
from typing import Protocol, TextIO

from ..runtime.logs import log
from .addresses import Address
from .systemd import notify, wait_for_stop


class Service(Protocol):
    """A server with background threads of its own."""

    @property
    def address(self) -> Address:
        """Where it listens."""

    def start(self) -> None:
        """Serve in the background."""

    def close(self) -> None:
        """Stop serving."""


def log_to_stderr() -> None:
    """Log lines as the journal wants them: the message alone."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


def serve_until_stopped(service: Service, announcement: str, exposes: str, stream: TextIO | None = None) -> int:
    """Serve until SIGTERM or SIGINT (held back before: `hold_stop_signals`); returns the exit code 0.

    `announcement` goes to `stream` (standard error by default). `exposes` completes the warning about an address
    beyond loopback: every machine that reaches it can ...
    """
    service.start()
    if not service.address.loopback:
        log.warning("listening on %s: every machine that reaches it can %s", service.address, exposes)
    print(announcement, file=stream or sys.stderr, flush=True)
    notify("READY=1")
    wait_for_stop()
    notify("STOPPING=1")
    service.close()
    return 0
