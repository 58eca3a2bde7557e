"""Telling systemd how a service of ours is doing: sd_notify(3), where NOTIFY_SOCKET is set."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send `READY=1`, `STOPPING=1` or another state; does nothing outside of a unit of Type=notify."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect("\0" + target[1:] if target.startswith("@") else target)
        connection.sendall(state.encode())
