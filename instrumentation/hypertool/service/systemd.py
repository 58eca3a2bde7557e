"""Working under systemd: state notifications (sd_notify(3)) and stop signals."""

from __future__ import annotations

import os
import signal
import socket

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def notify(state: str) -> None:
    """Send `READY=1`, `STOPPING=1` or another state; does nothing outside of a unit of Type=notify."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect("\0" + target[1:] if target.startswith("@") else target)
        connection.sendall(state.encode())


def hold_stop_signals() -> None:
    """Keep SIGTERM and SIGINT for `wait_for_stop`; call it before any thread is started.

    A handler that sets an Event would not do: it would wait for the lock of the `wait` that it interrupts.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def wait_for_stop() -> None:
    """Wait for SIGTERM or SIGINT; one that came since `hold_stop_signals` counts."""
    signal.sigwait(STOP_SIGNALS)
