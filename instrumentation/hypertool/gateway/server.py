"""The gateway's process: its socket, limits on connections, deadlines for slow clients, and an end that drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp import web

from ..errors import ConfigError
from ..metrics.collector import get_persona_metrics
from ..runtime.logs import log
from ..runtime.settings import GATEWAY_LISTEN, GATEWAY_LISTEN_DEFAULT, disabled
from ..service.addresses import Address, parse_address, taken
from ..service.lifecycle import log_to_stderr
from ..service.systemd import notify
from .books import Books
from .forwarding import CONNECT_SECONDS, SILENCE_SECONDS, Forwarder
from .upstreams import upstreams

CONNECTIONS = 512
BACKLOG = 512
HEAD_SECONDS = 10.0
IDLE_SECONDS = 120.0
LINGER_SECONDS = 2.0
SLOW_READER_SECONDS = 120.0
"""How long a client may take nothing of a stream before it is cut; until then the provider goes at its pace."""
DRAIN_SECONDS = 30.0
HEAD_BYTES = 32 << 10
# Headers that aiohttp adds to requests without them; a forwarded request has its client's headers only.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Full(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(_FULL)
        transport.close()


class Gateway:
    """Serves until it is stopped; `port` is known after `start`."""

    def __init__(self, address: Address, books: Books | None, thread: ThreadPoolExecutor) -> None:
        self.address = address
        self._books = books
        self._thread = thread
        self._upstreams = upstreams()
        self._opened: dict[web.RequestHandler, float] = {}
        self._until = 0.0

    async def start(self) -> None:
        """Listen. Raises PortTaken or ConfigError."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )
        self._forwarder = Forwarder(self.address, self._upstreams, self._session, self._books, self._thread)
        silent = logging.getLogger("hypertool.gateway.silent")  # its messages quote what clients sent
        silent.disabled = True
        self._server = web.Server(
            self._forwarder.handle,
            handler_cancellation=True,
            access_log=None,
            logger=silent,
            auto_decompress=False,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_quiet)
        try:
            self._listener = await loop.create_server(
                self._connection, self.address.host, self.address.port, backlog=BACKLOG
            )
        except OSError as error:
            await self._session.close()
            if "in use" in str(error):
                raise taken(self.address, GATEWAY_LISTEN.name) from None
            raise ConfigError(f"{GATEWAY_LISTEN.name}={self.address}: cannot listen there: {error.strerror}") from None
        self.address = Address(self.address.host, self._listener.sockets[0].getsockname()[1])
        self._tending = loop.create_task(self._tend())

    def _connection(self) -> asyncio.Protocol:
        if len(self._server.connections) >= CONNECTIONS:
            # The one that has waited longest without a complete head makes room.
            waiting = [
                one for one in self._opened if one not in self._forwarder.busy and one not in self._forwarder.own
            ]
            if not waiting:
                return _Full()
            _abort(waiting[0])
            del self._opened[waiting[0]]
        connection = self._server()
        self._opened[connection] = time.monotonic()
        return connection

    async def _tend(self) -> None:
        """Each second: end what is too slow, and count what has waited."""
        while True:
            await asyncio.sleep(1)
            self._end_slow(time.monotonic(), asyncio.get_running_loop().time())
            if self._books is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._books.tick)

    def _end_slow(self, now: float, loop_now: float) -> None:
        alive = set(self._server.connections)
        for connection, since in list(self._opened.items()):
            if connection not in alive and now - since > 1:
                del self._opened[connection]
                self._forwarder.own.discard(connection)
        for connection in alive:
            if connection in self._forwarder.busy:
                since_written = self._forwarder.busy[connection]
                if since_written is not None and loop_now - since_written > SLOW_READER_SECONDS:
                    _abort(connection)
            elif connection not in self._forwarder.own and now - self._opened.get(connection, now) > HEAD_SECONDS:
                _abort(connection)  # its first head is not complete

    def hurry(self) -> None:
        """End the wait of `stop`."""
        self._until = 0.0

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take no more connections, wait for streams under way, count everything."""
        self._listener.close()
        self._until = time.monotonic() + seconds
        while self._forwarder.busy and time.monotonic() < self._until:
            await asyncio.sleep(0.05)
        self._tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tending
        await self._server.shutdown(1)
        await self._session.close()
        await asyncio.gather(*self._forwarder.ended, return_exceptions=True)
        if self._books is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._books.finish)


def _abort(connection: web.RequestHandler) -> None:
    transport = connection.transport
    if transport is not None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _quiet(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what went wrong by its type alone: texts of foreign errors quote requests."""
    log.error("the gateway had an error: %s", type(context.get("exception")).__name__)


async def serve(gateway: Gateway) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends what is under way."""
    stop = asyncio.Event()
    at_once = asyncio.Event()

    def stopped() -> None:
        (at_once if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped)
    await gateway.start()
    print(f"gateway on http://{gateway.address}/ (anthropic, openai, gemini)", file=sys.stdout, flush=True)
    notify("READY=1")
    await stop.wait()
    notify("STOPPING=1")
    drained = asyncio.ensure_future(gateway.stop())
    hurried = asyncio.ensure_future(at_once.wait())
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        gateway.hurry()
    await drained
    hurried.cancel()


def run_gateway() -> int:
    """The service; returns 0 after a signal to stop. Raises HypertoolError before it serves."""
    log_to_stderr()
    address = parse_address(GATEWAY_LISTEN.read() or GATEWAY_LISTEN_DEFAULT, GATEWAY_LISTEN.name)
    if not address.loopback:
        raise ConfigError(
            f"{GATEWAY_LISTEN.name}={address}: the gateway listens on loopback only, because clients' credentials pass "
            f"through it; expected 127.0.0.1:PORT or [::1]:PORT"
        )
    with ThreadPoolExecutor(1, "hypertool-gateway") as thread:
        books = None if disabled() else Books()
        asyncio.run(serve(Gateway(address, books, thread)))
    if books is not None:
        get_persona_metrics().flush()
    return 0
