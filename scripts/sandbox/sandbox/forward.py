"""The forwarder: a process outside the host that forwards connections to the host's own loopback.

It listens on 127.0.0.1 of this machine and opens its outgoing sockets inside the network namespace of the host, so
that the host needs no listener, no unit and no file. Started as `forward.py CLIENT... -- CONTAINER FD:PORT...` with
listening sockets as inherited descriptors.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
CHUNK = 1 << 16
CONNECT_SECONDS = 10.0
CHECK_SECONDS = 2.0
RESET = struct.pack("ii", 1, 0)


def log(message: str) -> None:
    print(time.strftime("%H:%M:%S"), message, flush=True)


class Gone(Exception):
    """The container no longer exists."""


class Namespace:
    """Sockets in the host's network namespace, which is looked up again after the host was restarted."""

    def __init__(self, client: list[str], container: str) -> None:
        self._client = client
        self._container = container
        self._pidfd: int | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)
        # setns moves only the calling thread, so a dedicated thread does it.
        self._inside = concurrent.futures.ThreadPoolExecutor(max_workers=1)

    def _inspect(self) -> int:
        done = subprocess.run(
            [*self._client, "inspect", "--type", "container", "--format", "{{.State.Pid}}", self._container],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return int(done.stdout)
        if "no such" in done.stderr.lower():
            raise Gone(self._container)
        raise OSError(f"the engine does not answer: {done.stderr.strip()}")

    def _current(self) -> bool:
        return self._pidfd is not None and not select.select([self._pidfd], [], [], 0)[0]

    def _enter(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        pid = self._inspect()
        if pid == 0:
            raise OSError("the host is not running")
        pidfd = os.pidfd_open(pid)
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if self._libc.setns(namespace, CLONE_NEWNET):
                    number = ctypes.get_errno()
                    raise OSError(number, f"cannot enter the host's network: {os.strerror(number)}")
            finally:
                os.close(namespace)
            # The pid may have been reused between inspecting and opening it.
            if self._inspect() != pid:
                raise OSError("the host was restarted just now")
        except BaseException:
            os.close(pidfd)
            raise
        self._pidfd = pidfd
        log(f"connected to the network of {self._container} (pid {pid})")

    def _socket(self) -> socket.socket:
        if not self._current():
            self._enter()
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    def _check(self) -> None:
        if not self._current():
            self._inspect()

    async def socket(self) -> socket.socket:
        return await asyncio.get_running_loop().run_in_executor(self._inside, self._socket)

    async def check(self) -> None:
        """Raise Gone if the container was removed; costs a call only while the host is down."""
        await asyncio.get_running_loop().run_in_executor(self._inside, self._check)


def reset(connection: socket.socket) -> None:
    """Close so that the peer sees a reset, as it would from a closed port."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    finally:
        connection.close()


async def pump(source: socket.socket, sink: socket.socket) -> None:
    """Forward one direction, and pass its end on while the other direction continues."""
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(source, CHUNK)
        if not data:
            break
        await loop.sock_sendall(sink, data)
    sink.shutdown(socket.SHUT_WR)


async def carry(outer: socket.socket, namespace: Namespace, port: int) -> None:
    """Forward one connection from its first byte to its last."""
    inner: socket.socket | None = None
    tasks: list[asyncio.Task[None]] = []
    try:
        inner = await namespace.socket()
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(loop.sock_connect(inner, ("127.0.0.1", port)), CONNECT_SECONDS)
        for end in (outer, inner):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tasks = [asyncio.create_task(pump(outer, inner)), asyncio.create_task(pump(inner, outer))]
        await asyncio.gather(*tasks)
        outer.close()
        inner.close()
    except (OSError, asyncio.TimeoutError, Gone) as error:
        if not isinstance(error, (ConnectionResetError, BrokenPipeError)):
            log(f"port {port}: {error!r}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        reset(outer)
        if inner is not None:
            reset(inner)


async def serve(listener: socket.socket, namespace: Namespace, port: int) -> None:
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    while True:
        try:
            outer, _ = await loop.sock_accept(listener)
        except OSError as error:
            # Out of descriptors: the connections in the backlog are served when some are free again.
            log(f"port {port}: cannot accept: {error}")
            await asyncio.sleep(0.1)
            continue
        outer.setblocking(False)
        task = asyncio.create_task(carry(outer, namespace, port))
        running.add(task)
        task.add_done_callback(running.discard)


async def forward(client: list[str], container: str, listeners: list[tuple[socket.socket, int]]) -> None:
    namespace = Namespace(client, container)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [asyncio.create_task(serve(listener, namespace, port)) for listener, port in listeners]
    while not stop.is_set() and not any(server.done() for server in servers):
        try:
            await namespace.check()
        except Gone:
            log(f"{container} was removed; nothing left to do")
            break
        except OSError as error:
            log(str(error))
        try:
            await asyncio.wait_for(stop.wait(), CHECK_SECONDS)
        except asyncio.TimeoutError:
            continue
    for server in servers:
        server.cancel()
    for outcome in await asyncio.gather(*servers, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    client, container, pairs = arguments[:split], arguments[split + 1], arguments[split + 2 :]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listeners = []
    for pair in pairs:
        descriptor, _, port = pair.partition(":")
        listener = socket.socket(fileno=int(descriptor))
        listener.setblocking(False)
        listeners.append((listener, int(port)))
    log(f"forwarding {len(listeners)} ports to {container}")
    asyncio.run(forward(client, container, listeners))


if __name__ == "__main__":
    main(sys.argv[1:])
