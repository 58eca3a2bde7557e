"""Asks a Prometheus for the figures of the dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..errors import HypertoolError
from ..runtime.services import LOOPBACK, stranger
from .model import Json

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

#: The Prometheus of this host, and the login that the roles set up for it.
PROMETHEUS = "http://localhost:9090/"
LOGIN_USER = "hypertool"
LOGIN_FILE = Path("/etc/hypertool/secrets/web_password")
_TIMEOUT = 30.0
_ANSWER_LIMIT = 64_000_000
#: Queries at the same time; a Prometheus takes 20.
_PARALLEL = 4


class PrometheusUnavailable(HypertoolError):
    """No Prometheus answers at the address, or it refuses; the message says what to do."""


class Prometheus:
    """A Prometheus at a base URL; a login in the URL is used and never shown."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PrometheusUnavailable(f"{_shown(url)!r} is not an address; expected one such as {PROMETHEUS}")
        self.url = _shown(url).rstrip("/")
        self._authorization = _authorization(parts.username, parts.password, self.url)

    def ask(self, requests: Iterable[Json]) -> list[object]:
        """The result of each request, in their order: a list of series, or the error of that query as a text.

        Raises PrometheusUnavailable where nothing answers.
        """
        from concurrent.futures import ThreadPoolExecutor

        opener = self._opener()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda one: self._one(opener, one["path"], one["parameters"]), requests))

    def _opener(self) -> OpenerDirector:
        from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

        class Stay(HTTPRedirectHandler):
            """Follows no redirect: the login would go along to wherever it leads."""

            def redirect_request(self, *_: object) -> None:
                return None

        return build_opener(ProxyHandler({}), Stay())

    def _one(self, opener: OpenerDirector, path: str, parameters: list[list[str]]) -> object:
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request

        body = urlencode([(name, value) for name, value in parameters]).encode()
        headers = {"Authorization": self._authorization} if self._authorization else {}
        try:
            request = Request(f"{self.url}/api/v1/{path}", data=body, headers=headers)
            with opener.open(request, timeout=_TIMEOUT) as answer:
                return self._result(answer.read(_ANSWER_LIMIT))
        except HTTPError as refused:
            return self._refusal(refused.code, refused.read(100_000))
        except (OSError, HTTPException) as error:
            raise PrometheusUnavailable(
                f"no Prometheus answers at {self.url} ({getattr(error, 'reason', None) or error}); "
                "is it running? --prometheus names another"
            ) from None

    def _result(self, body: bytes) -> object:
        try:
            document = json.loads(body)
            return document["data"]["result"]
        except (ValueError, LookupError, TypeError):
            raise PrometheusUnavailable(
                f"{self.url} answers, but not as a Prometheus does; expected the address of one, such as {PROMETHEUS}"
            ) from None

    def _refusal(self, status: int, body: bytes) -> str:
        """The error of one query. Raises PrometheusUnavailable where the server as a whole refuses."""
        if status == 401:
            raise PrometheusUnavailable(
                f"{self.url} asks for a login; run this as a user who may read {LOGIN_FILE} (root), "
                "or put the login into --prometheus"
            )
        try:
            return str(json.loads(body)["error"])
        except (ValueError, LookupError, TypeError):
            raise PrometheusUnavailable(
                f"{self.url} answers with status {status}, and not as a Prometheus does; "
                f"expected the address of one, such as {PROMETHEUS}"
            ) from None


def _shown(url: str) -> str:
    """The address without the login in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _authorization(user: str | None, password: str | None, url: str) -> str:
    """The header of the login: the URL's own, else this host's for this host's Prometheus; empty where none is."""
    from base64 import b64encode
    from urllib.parse import unquote

    if user is None:
        user, password = LOGIN_USER, own_password(url)
    if not password:
        return ""
    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def own_password(url: str) -> str:
    """The password of this host's Prometheus if `url` leads there and this user may read it, else an empty text.

    Empty too where a person's process has the port: it would be sent the password.
    """
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK or parts.port != 9090 or stranger(parts.hostname, parts.port) is not None:
        return ""
    try:
        return LOGIN_FILE.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
