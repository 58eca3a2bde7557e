"""Which headers go on: all but those that belong to one connection, and our own."""

from __future__ import annotations

from multidict import CIMultiDict, CIMultiDictProxy

from .decoding import narrowed
from .routes import AGENT_HEADER, PERSONA_HEADER

_OF_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_SENT = frozenset({"host", "content-length", "expect", PERSONA_HEADER.lower(), AGENT_HEADER.lower()})


def for_upstream(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The client's headers for the provider; an encoding that the gateway cannot read is not asked for."""
    sent = _without(headers, _NOT_SENT)
    if "Accept-Encoding" in sent:
        sent["Accept-Encoding"] = narrowed(", ".join(sent.getall("Accept-Encoding")))
    return sent


def for_client(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The provider's headers for the client."""
    return _without(headers, frozenset())


def _without(headers: CIMultiDictProxy[str], more: frozenset[str]) -> CIMultiDict[str]:
    named = {part.strip().lower() for value in headers.getall("Connection", ()) for part in value.split(",")}
    dropped = _OF_CONNECTION | more | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
