"""Who may use the gateway: programs of its own user on this host, and no web page."""

from __future__ import annotations

import os
from typing import Any

from aiohttp import web

from ..runtime.settings import ALLOWED_HOSTS
from ..runtime.tcp_sockets import user_of
from ..service.addresses import Address
from ..service.server import host_allowed


class Forbidden(Exception):
    """A request that is not answered: its status and the reason."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def opened_by_hand(request: web.BaseRequest, address: Address) -> bool:
    """Whether a person opened the printed address in a browser, without another page's doing. Raises Forbidden."""
    _check_host(request, address)
    site = request.headers.get("Sec-Fetch-Site", "none")
    return (request.method, request.raw_path, site) == ("GET", "/", "none") and "Origin" not in request.headers


def check(request: web.BaseRequest, address: Address, own: set[Any]) -> None:
    """Raises Forbidden for requests of web pages and of other users; `own` are the connections of this user's."""
    _check_host(request, address)
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        raise Forbidden(403, "web pages may not use this gateway (the request has an Origin or a Sec-Fetch-Site)")
    if "Upgrade" in request.headers and "websocket" in request.headers["Upgrade"].lower():
        raise Forbidden(426, "this gateway has no web sockets; use HTTP")
    connection = request.protocol
    if connection in own:
        return
    if not _is_own(request):
        raise Forbidden(403, "only programs of the user that runs this gateway may use it; run a gateway of your own")
    own.add(connection)


def _check_host(request: web.BaseRequest, address: Address) -> None:
    hosts = request.headers.getall("Host", [])
    if len(hosts) > 1 or not host_allowed(hosts[0] if hosts else None, address):
        raise Forbidden(
            421,
            f"Host {', '.join(hosts)!r:.80} is not a name of this service; use http://{address}/, or list the name in "
            f"{ALLOWED_HOSTS.name}",
        )


def _is_own(request: web.BaseRequest) -> bool:
    client, server = request.get_extra_info("peername"), request.get_extra_info("sockname")
    return client is not None and server is not None and user_of(client, server) == os.geteuid()
