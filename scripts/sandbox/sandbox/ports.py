"""Ports of this machine's loopback that are forwarded into a host: parsing, binding, and refusals."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

from .progress import SandboxError
from .state import load, state_dir

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Published:
    """A port of this machine and the port on the host's own loopback that it forwards to."""

    here: int
    there: int

    def __str__(self) -> str:
        return f"{self.here}:{self.there}"


def parse(values: list[str]) -> list[Published]:
    """Parse `PORT` and `HERE:THERE`; accepts comma-separated values and repetitions."""
    published: dict[int, Published] = {}
    for value in ",".join(values).split(","):
        if not value:
            continue
        here, _, there = value.partition(":")
        numbers = [int(part) if part.isdecimal() else 0 for part in (here, there or here)]
        if not all(0 < number < 65536 for number in numbers):
            raise SandboxError(f"`{value}` is not a port; expected PORT or HERE:THERE, each 1 to 65535")
        port = Published(*numbers)
        if published.setdefault(port.here, port) != port:
            raise SandboxError(
                f"port {port.here} cannot be forwarded to both {published[port.here].there} and {port.there}"
            )
    return list(published.values())


def bind(ports: list[Published]) -> list[socket.socket]:
    """Bind every port before anything starts, so that a taken one is reported at once."""
    bound: list[socket.socket] = []
    try:
        for port in ports:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((LOOPBACK, port.here))
                listener.listen(1024)
            except OSError as error:
                raise SandboxError(_refusal(port, error)) from error
    except BaseException:
        for listener in bound:
            listener.close()
        raise
    return bound


def _refusal(port: Published, error: OSError) -> str:
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {LOOPBACK}:{port.here}: {error.strerror}"
    return (
        f"port {port.here} on {LOOPBACK} is taken by {holder(port.here)}; "
        f"stop that, or publish another one: --publish {port.here + 10000}:{port.there}"
    )


def holder(number: int) -> str:
    """Return which process listens on a TCP port of this machine."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == number:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and inodes & _descriptors(process):
            name = _host_of_forwarder(int(process.name))
            if name:
                return f"the sandbox host `{name}` (pid {process.name})"
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"pid {process.name} ({command[:80] or 'unknown program'})"
    return "a process that this user may not see"


def _descriptors(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            found.add(str(descriptor.readlink()))
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return found
    return found


def _host_of_forwarder(pid: int) -> str:
    for record in (state_dir() / "hosts").glob("*.json"):
        if load(record).get("forwarder", {}).get("pid") == pid:
            return record.stem
    return ""
