"""One HTTP POST at a time to one address, with one deadline for the whole exchange.

Built on the standard library's client: popular clients take four times as long to import, which a short process pays
at exit, and limit only each read, so that an answer of one byte a second blocks them for ever.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import select
import socket
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    import ssl

# Bytes of an answer that are read; it reports what was refused of one batch.
ANSWER_LIMIT = 1 << 20
_PRINTABLE = re.compile(r"[!-~]+")
_HEADER = re.compile(r"[ -~\xa0-\xff]*")
_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class NoAnswer(Exception):
    """Unreachable, too late, or not HTTP; worth another attempt later."""


class Unusable(ValueError):
    """A setting that cannot work: nothing is sent until it is changed."""


class Answer(NamedTuple):
    """An HTTP answer: `location` and `retry_after` as in the headers, `body` cut off at 1 MiB."""

    status: int
    reason: str
    body: bytes
    retry_after: str | None
    location: str | None


class Trust(NamedTuple):
    """Files for TLS: the trusted authorities (file or directory; None for the system's) and a client certificate."""

    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


class Transport:
    """Keeps one connection to `url`, for one thread; proxies come from the environment (http_proxy, no_proxy, ...).

    `compression` is `gzip`, `deflate` or `none`. `seconds` limits each `post`, from connecting to the last byte.
    Raises Unusable for an invalid URL or header.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        seconds: float,
        compression: str = "gzip",
        trust: Trust | None = None,
    ) -> None:
        parts = _parse(url)
        if parts is None or parts.scheme not in ("http", "https"):
            raise Unusable(
                f"{url.rpartition('@')[2]!r:.200} is not an address: expected http://host:port or https://host"
            )
        for name, value in headers.items():
            if not _PRINTABLE.fullmatch(name) or not _HEADER.fullmatch(value):
                raise Unusable(f"the header {name!r} has characters that are not allowed in a header")
        self._target = parts
        self._seconds = seconds
        self._compression = compression
        self._trust = trust or Trust()
        self._headers = {"User-Agent": "hypertool", **_authorization(parts, "Authorization"), **headers}
        if compression != "none":
            self._headers["Content-Encoding"] = compression
        self._path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> Answer:
        """Send `body` once. Raises NoAnswer, or Unusable before anything is sent."""
        deadline = time.monotonic() + self._seconds
        connection = self._ready(deadline)
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
            connection.request("POST", self._path, self._pack(body), self._headers)
            with connection.getresponse() as response:
                answer = Answer(
                    response.status,
                    response.reason,
                    _read(response),
                    response.headers.get("Retry-After"),
                    response.headers.get("Location"),
                )
                if not response.isclosed():
                    self.forget(close=True)
                return answer
        except (OSError, http.client.HTTPException) as error:
            self.forget(close=True)
            raise NoAnswer(_words(error)) from error
        except BaseException:
            self.forget(close=True)
            raise

    def forget(self, close: bool = False) -> None:
        """Forget the connection; a forked child must not `close` it, because the parent uses it."""
        connection, self._connection = self._connection, None
        if close and connection is not None:
            connection.close()

    def _pack(self, body: bytes) -> bytes:
        if self._compression == "gzip":
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            return packer.compress(body) + packer.flush()
        return zlib.compress(body, 1) if self._compression == "deflate" else body

    def _ready(self, deadline: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        elif connection.sock is not None and _has_ended(connection.sock):
            connection.close()
        connection.timeout = max(0.001, deadline - time.monotonic())
        connection.response_class = _bounded(deadline)
        return connection

    def _open(self) -> http.client.HTTPConnection:
        target = self._target
        secure = target.scheme == "https"
        proxy = _proxy_of(target)
        host = proxy or target
        assert host.hostname is not None
        if not secure:
            if proxy is not None:
                self._headers.update(_authorization(proxy, "Proxy-Authorization"))
                self._path = urlunsplit(("http", _address(target), target.path or "/", target.query, ""))
            return http.client.HTTPConnection(host.hostname, host.port)
        connection = http.client.HTTPSConnection(host.hostname, host.port or 443, context=self._tls())
        if proxy is not None:
            assert target.hostname is not None
            connection.set_tunnel(target.hostname, target.port or 443, _authorization(proxy, "Proxy-Authorization"))
        return connection

    def _tls(self) -> ssl.SSLContext:
        import ssl

        trust = self._trust
        bundle = trust.certificate or next(filter(None, map(os.environ.get, _CA_BUNDLES)), None)
        try:
            if bundle and os.path.isdir(bundle):
                context = ssl.create_default_context(capath=bundle)
            else:
                context = ssl.create_default_context(cafile=bundle)
            if trust.client_certificate:
                context.load_cert_chain(trust.client_certificate, trust.client_key or None)
        except OSError as error:
            files = ", ".join(filter(None, (bundle, trust.client_certificate, trust.client_key)))
            raise Unusable(f"TLS cannot be set up with {files}: {error}") from None
        return context


class _Bounded(io.RawIOBase):
    """Reads a socket until `deadline`, however small the pieces that arrive."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        # Keeps the socket open for an answer that ends the connection.
        self._raw = connection.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Source(NamedTuple):
    """A stand-in for the socket that http.client reads from."""

    connection: socket.socket
    deadline: float

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Bounded(self.connection, self.deadline))


def _bounded(deadline: float) -> Any:
    def response(connection: socket.socket, **options: Any) -> http.client.HTTPResponse:
        source: Any = _Source(connection, deadline)
        return http.client.HTTPResponse(source, **options)

    return response


def _read(response: http.client.HTTPResponse) -> bytes:
    """The start of the body. Errors in the middle of it don't matter: the status is known."""
    try:
        return response.read(ANSWER_LIMIT)
    except http.client.IncompleteRead as cut:
        return cut.partial
    except (OSError, http.client.HTTPException):
        return b""


def _has_ended(connection: socket.socket) -> bool:
    """Whether the server has closed an idle connection, or sent something unexpected."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _parse(url: str) -> SplitResult | None:
    """The parts of an address, or None without a host or with an invalid port."""
    try:
        parts = urlsplit(url)
        return parts if _PRINTABLE.fullmatch(url) and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _proxy_of(target: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for this address. Raises Unusable for an unsupported kind."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    proxies = getproxies_environment()
    named = proxies.get(target.scheme) or proxies.get("all")
    if not named or proxy_bypass(_address(target), proxies):
        return None
    proxy = _parse(named if "://" in named else f"http://{named}")
    if proxy is None or proxy.scheme != "http":
        raise Unusable(
            f"the proxy {named.rpartition('@')[2]!r:.200} cannot be used: expected http://host:port; "
            "name the endpoint's host in NO_PROXY to go without"
        )
    return proxy


def _authorization(parts: SplitResult, header: str) -> dict[str, str]:
    """A header with the basic credentials of an address; empty without any."""
    if parts.username is None:
        return {}
    return {header: basic(unquote(parts.username), unquote(parts.password or ""))}


def basic(user: str, password: str) -> str:
    """The value of a basic authorization header."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _address(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _words(error: Exception) -> str:
    """The error in words."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return f"the server does not speak HTTP: {type(error).__name__}"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{said}; SSL_CERT_FILE may name its authority" if "CERTIFICATE_VERIFY_FAILED" in said else said
