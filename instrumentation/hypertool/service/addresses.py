"""Listening addresses: parsing them, and naming the process that holds a port."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, HypertoolError
from ..runtime.settings import LISTEN, LISTEN_DEFAULT


class PortTaken(HypertoolError):
    """Another process listens there; the text names it where it is visible."""


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_address(text: str, variable: str) -> Address:
    """`127.0.0.1:9464` or `[::1]:9464` as an address. Raises ConfigError that names the variable and the value."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ipaddress.ip_address(host)
        number = int(port)
        if not colon or not 0 <= number <= 65535:
            raise ValueError(text)
    except ValueError:
        raise ConfigError(
            f"{variable}={text!r:.80}: expected ADDRESS:PORT such as 127.0.0.1:9464 or [::1]:9464, "
            f"with a port from 0 to 65535"
        ) from None
    return Address(host, number)


def listen_address() -> Address:
    """Where the metrics endpoint of this host listens: HYPERTOOL_LISTEN, else 127.0.0.1:9464. Raises ConfigError."""
    return parse_address(LISTEN.read() or LISTEN_DEFAULT, LISTEN.name)


def bind(listener: socket.socket, address: Any) -> Any:
    """Bind a server's socket as `server_bind` of http.server should; returns the address it got.

    It skips the reverse look-up of the host name, which can take seconds. A restart does not wait for connections that
    clients kept open; two listeners remain impossible.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener.getsockname()


def taken(address: Address, variable: str) -> PortTaken:
    """The error for an address that is in use, with its holder where it can be known."""
    who = holder(address.port) or f"a process of another user (as root, `ss -ltnp 'sport = :{address.port}'` names it)"
    return PortTaken(
        f"cannot listen on {address}: it is in use by {who}; stop that process, "
        f"or choose another address with {variable}"
    )


def holder(port: int) -> str | None:
    """`pid 123 (command line)` of the process that listens on a TCP port of this host, or None if it is not visible."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    return f"pid {process.name} ({' '.join(command.split())[:120] or 'unknown command'})"
        except OSError:  # The process is gone, or belongs to another user.
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
