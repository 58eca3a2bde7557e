"""The way of one request: check it, reserve, pass it on, pass the answer back as it comes, count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from ..runtime.logs import once
from ..service.addresses import Address
from . import routes
from .books import Books, Refusal
from .call import Call
from .checks import Forbidden, check, opened_by_hand
from .clients import client_of
from .dialects import error_body, refused_status
from .headers import for_client, for_upstream
from .tee import Tee
from .upstreams import Upstream

MAX_BODY = 32 << 20
MAX_BODIES = 256 << 20
"""Bytes of all requests that are held at once."""
CONNECT_SECONDS = 30.0
SILENCE_SECONDS = 900.0
"""A provider that sends nothing for this long is taken for dead; they send a sign of life every few seconds."""
REQUEST_SECONDS = 60.0


class Forwarder:
    """Answers requests. `books` are used in `thread` only; with None nothing is counted or refused."""

    def __init__(
        self,
        address: Address,
        upstreams: dict[str, Upstream],
        session: aiohttp.ClientSession,
        books: Books | None,
        thread: Executor,
    ) -> None:
        self.own: set[Any] = set()
        self.busy: dict[Any, float | None] = {}
        """The connections with a request under way, and since when their client takes nothing (None: it does)."""
        self.ended: list[asyncio.Future[Any]] = []
        self._address = address
        self._upstreams = upstreams
        self._session = session
        self._books = books
        self._thread = thread
        self._held = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request. Errors of the gateway's own are in the provider's dialect."""
        provider = request.raw_path.partition("/")[2].partition("/")[0]
        self.busy[request.protocol] = None
        try:
            if opened_by_hand(request, self._address):
                return _page(self._address)
            check(request, self._address, self.own)
            route = routes.parse(request.raw_path)
            provider = route.provider
            return await self._forward(request, route)
        except Forbidden as refused:
            return _error(provider, refused.status, str(refused))
        except routes.BadTarget as error:
            return _error(provider, 400, str(error))
        finally:
            self.busy.pop(request.protocol, None)

    async def _forward(self, request: web.BaseRequest, route: routes.Route) -> web.StreamResponse:
        length = request.content_length or 0
        if length > MAX_BODY:
            return _error(route.provider, 413, f"the request has {length} bytes, this gateway takes {MAX_BODY}")
        if self._held + length > MAX_BODIES:
            return _crowded(route.provider)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            try:
                refused = await asyncio.wait_for(self._read(request, route.provider, body), REQUEST_SECONDS)
            except asyncio.TimeoutError:
                return _error(route.provider, 408, f"the request did not arrive within {REQUEST_SECONDS:.0f} s")
            return refused or await self._metered(request, route, bytes(body))
        finally:
            self._held -= len(body)

    async def _read(self, request: web.BaseRequest, provider: str, body: bytearray) -> web.Response | None:
        """Read into `body`. What is returned is the refusal of one that is too large, alone or with the others.

        A request in chunks says no length beforehand, and several that begin at once each find room for theirs.
        """
        while not request.content.at_eof():
            data = await request.content.readany()
            body += data
            self._held += len(data)
            if len(body) > MAX_BODY:
                return _error(provider, 413, f"the request has more than {MAX_BODY} bytes")
            if self._held > MAX_BODIES:
                return _crowded(provider)
        return None

    async def _metered(self, request: web.BaseRequest, route: routes.Route, body: bytes) -> web.StreamResponse:
        call: Call | None = None
        if self._books is not None and route.metered and request.method == "POST":
            try:
                persona = self._books.persona(route.persona or request.headers.get(routes.PERSONA_HEADER, ""))
            except ValueError as error:
                return _error(route.provider, 404, str(error))
            agent = route.agent or request.headers.get(routes.AGENT_HEADER, "")
            call = Call(client_of(request.headers, agent), route, persona, body)
            if self._books.blocks:
                try:
                    await self._in_thread(self._books.admit, call, body)
                except Refusal as refusal:
                    return _refused(route.provider, call, str(refusal))
            elif self._books.is_new(call):
                await self._in_thread(self._books.begin, call)
        try:
            return await self._exchange(request, route, body, call)
        finally:
            if call is not None and self._books is not None:
                if not call.ended:
                    call.end("cancelled", call.reading, "")
                self._later(self._books.settle, call)

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _later(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Runs in the thread; only the end of the gateway waits for it."""
        self.ended = [one for one in self.ended if not one.done()]
        self.ended.append(self._in_thread(function, *arguments))

    async def _exchange(
        self, request: web.BaseRequest, route: routes.Route, body: bytes, call: Call | None
    ) -> web.StreamResponse:
        upstream = self._upstreams[route.provider]
        try:
            async with self._session.request(
                request.method,
                URL(upstream.base + route.rest, encoded=True),
                data=body if body or request.body_exists else None,
                headers=for_upstream(request.headers),
                proxy=upstream.proxy,
                allow_redirects=False,
            ) as answer:
                return await self._copy(request, answer, call)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            if request.transport is None or request.transport.is_closing():
                raise  # the client is gone
            if call is not None and not call.ended:
                call.end("error", None, "")
            once.warn(f"gateway {route.provider}", f"{upstream.base} does not answer: {type(error).__name__}")
            return _error(route.provider, 502, f"{upstream.base} does not answer ({type(error).__name__})")

    async def _copy(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, call: Call | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=for_client(answer.headers))
        tee = None
        if call is not None and answer.status < 300:
            tee = Tee(answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", ""))
        complete = False
        outcome = "cancelled"
        try:
            await response.prepare(request)
            complete = await self._pieces(request, answer, response, tee)
            outcome = "success" if answer.status < 300 and complete else "error"
        finally:
            if call is not None:
                reading = tee.finish(complete) if tee is not None else None
                if outcome == "cancelled" and reading is not None and call.counts(reading):
                    outcome = "success"  # it stopped after the usage had come
                call.end(outcome, reading, answer.headers.get("request-id", ""))
        if not complete and request.transport is not None:
            # Without the last chunk, the client sees that its stream was cut.
            request.transport.close()
        return response

    async def _pieces(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, response: web.StreamResponse, tee: Tee | None
    ) -> bool:
        """Pass the body on, as it comes; False if the provider ended it in the middle."""
        now = asyncio.get_running_loop().time
        pieces = answer.content.iter_any().__aiter__()
        while True:
            try:
                data = await pieces.__anext__()
            except StopAsyncIteration:
                break
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
                return False
            self.busy[request.protocol] = now()
            await response.write(data)
            self.busy[request.protocol] = None
            if tee is not None:
                tee.feed(data)
        await response.write_eof()
        return True


def _error(provider: str, status: int, text: str) -> web.Response:
    response = web.Response(status=status, body=error_body(provider, status, text), content_type="application/json")
    response.force_close()
    return response


def _page(address: Address) -> web.Response:
    """What the printed address shows: where the agents' base URLs begin."""
    paths = "".join(f"<li>http://{address}{path}</li>" for path in ("/anthropic", "/openai/v1", "/gemini"))
    text = (
        '<!doctype html><html lang="en"><title>Hypertool gateway</title><h1>Hypertool gateway</h1>'
        f"<p>Agents reach their providers through one of these base URLs:</p><ul>{paths}</ul></html>"
    )
    response = web.Response(text=text, content_type="text/html")
    response.force_close()
    return response


def _crowded(provider: str) -> web.Response:
    return _error(provider, 503, "too many large requests at once; try again in a moment")


def _refused(provider: str, call: Call, text: str) -> web.Response:
    status = refused_status(call.client.agent)
    body = error_body(provider, status, text, budget=True)
    return web.Response(status=status, body=body, content_type="application/json", headers={"x-should-retry": "false"})
