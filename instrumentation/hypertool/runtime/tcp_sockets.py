"""Which user has a TCP socket of this host, from the kernel's tables (/proc/self/net/tcp and tcp6)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

from .light_typing import Any, NamedTuple

# Not /proc/net: a unit with ProcSubset=pid has only the folders of processes.
TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
LISTENING = "0A"
_MAPPED = bytes(10) + b"\xff\xff"  # the start of an IPv6 address that stands for an IPv4 one


class _Socket(NamedTuple):
    """A row of the table: both ends (address of 16 bytes, port), state and user id."""

    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    state: str
    user: int


def user_of(client: Any, server: Any) -> int | None:
    """The user whose process has the client's end of a connection within this host; None where it is not known.

    `client` and `server` are socket names as `accept` and `getsockname` return them. Ports alone are not enough: every
    address of 127.0.0.0/8 has ports of its own.
    """
    try:
        ends = _packed(client[0]), int(client[1]), _packed(server[0]), int(server[1])
    except (OSError, LookupError, TypeError, ValueError):
        return None
    for found in _sockets():
        if (*found.local, *found.remote) == ends:
            return found.user
    return None


def listening_users(host: str, port: int) -> set[int]:
    """The users whose processes may answer a connection to that address of this host; empty where it is not known."""
    try:
        address = _packed(host)
    except (OSError, ValueError):
        return set()
    every = (address, bytes(16), _MAPPED + bytes(4))
    return {one.user for one in _sockets() if one.state == LISTENING and one.local[1] == port and one.local[0] in every}


def _packed(host: str) -> bytes:
    """The address in 16 bytes, IPv4 as its IPv6 form: a client of either family may use the other's socket."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return _MAPPED + socket.inet_pton(socket.AF_INET, host)


def _sockets() -> Iterator[_Socket]:
    for table in TABLES:
        try:
            with open(table, encoding="utf-8") as lines:
                next(lines, None)
                for line in lines:
                    fields = line.split()
                    # Closed by its process already: the kernel calls it root's.
                    if fields[9] == "0":
                        continue
                    yield _Socket(_end(fields[1]), _end(fields[2]), fields[3], int(fields[7]))
        except (OSError, IndexError, ValueError):
            continue


def _end(field: str) -> tuple[bytes, int]:
    """`0100007F:1F90` as address and port; the kernel prints each 32-bit word in its own byte order."""
    text, _, port = field.partition(":")
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return (raw if len(raw) == 16 else _MAPPED + raw), int(port, 16)
