"""HTTP requests to one server with one credential: retries, no redirects, bounded answers, no secret in a message."""

from __future__ import annotations

import json
import random
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from .problems import Answer, PushProblem, without

ANSWER_BYTES = 32 << 20
SECONDS = 30.0
TRIES = 3
_AGAIN = {429: ("GET", "PUT", "DELETE", "POST"), **dict.fromkeys((502, 503, 504), ("GET", "PUT", "DELETE"))}
_LONGEST_PAUSE, _LONGEST_WISH = 10.0, 30.0


class Credential:
    """A bearer token, or with a user a basic credential."""

    def __init__(self, token: str, user: str = "") -> None:
        """Raises PushProblem for a token that cannot be sent in a header."""
        if not token.isascii() or not token.isprintable() or " " in token:
            raise PushProblem(
                "the token has characters that no token has (a blank, a control character or a letter "
                "beyond ASCII): expected one line with the token alone"
            )
        basic = b64encode(f"{user}:{token}".encode()).decode()
        self.secrets = tuple(one for one in (token, basic) if one)
        self.header = "" if not token and not user else f"Basic {basic}" if user else f"Bearer {token}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    """Requests below one address. `seconds` limits each request; a refused or failed one is tried three times."""

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        plain_http: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises PushProblem for an address or a certificate file that cannot be used."""
        self.url = _checked(url, plain_http)
        self._credential, self._pause = credential, pause
        self._headers = {"Accept": "application/json", "User-Agent": "hypertool", **(headers or {})}
        if credential.header:
            self._headers["Authorization"] = credential.header
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise PushProblem(f"--ca-file {ca_file}: not a file of PEM certificates ({error})") from None
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer, whatever its status; `body` is sent as JSON. Raises PushProblem if there is none."""
        for attempt in range(1, TRIES + 1):
            answer = self._once(method, path, body, headers)
            if attempt == TRIES or method not in _AGAIN.get(answer.status, ()):
                return answer
            self._pause(_wait(answer, attempt))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> Answer:
        url = self.url + path
        sent = {**self._headers, **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=True).encode()
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data, sent, method=method)
        try:
            try:
                response = self._opener.open(request, timeout=SECONDS)
            except urllib.error.HTTPError as error:
                response = error
            with response:
                content = _read(response, time.monotonic() + SECONDS)
                found = {name.lower(): value for name, value in response.headers.items()}
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise PushProblem(
                self._clean(f"{method} {url}: no answer ({reason}); check the address, the network and the proxy")
            ) from None
        return Answer(method, url, response.status, found, self._clean_bytes(content))

    def _clean(self, text: str) -> str:
        return without(text, self._credential.secrets)

    def _clean_bytes(self, content: bytes) -> bytes:
        """The answer without our credentials: a server may repeat them, and answers get into messages."""
        for secret in self._credential.secrets:
            content = content.replace(secret.encode(), b"********")
        return content


def _read(response: Any, deadline: float) -> bytes:
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise OSError(f"an answer of more than {ANSWER_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise OSError(f"an answer that was not complete after {SECONDS:g} s")
    return b"".join(parts)


def _wait(answer: Answer, attempt: int) -> float:
    """Seconds until the next try: what the server asks for, else a random time that doubles."""
    wish = answer.headers.get("retry-after", "")
    if wish.isascii() and wish.isdigit() and len(wish) < 6:
        return min(float(wish), _LONGEST_WISH)
    until = _moment(wish)
    if until is not None:
        # The server's own clock, where it tells it: ours may differ.
        now = _moment(answer.headers.get("date", "")) or time.time()
        return min(max(until - now, 0.0), _LONGEST_WISH)
    return float(random.uniform(0.5, min(_LONGEST_PAUSE, 2.0**attempt)))


def _moment(date: str) -> float | None:
    """The time of a date as HTTP writes it, None for anything else."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _checked(url: str, plain_http: bool) -> str:
    shown = url.rpartition("@")[2][:200]
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    usable = parts.scheme in ("http", "https") and host and not parts.query and not parts.fragment
    if not usable or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise PushProblem(
            f"{shown!r} is not an address: expected https://HOST or https://HOST/PATH, without user and ?"
        )
    if parts.scheme == "http" and not plain_http and not _loopback(str(host)):
        raise PushProblem(
            f"{shown}: the token would go over the network unencrypted; use https, or allow it with --plain-http"
        )
    return url.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
