"""What Prometheus and Alertmanager know: values and active alerts, asked for with the host's password file."""

from __future__ import annotations

import base64
import json
import netrc
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

SECONDS = 10


class Unavailable(ConnectionError):
    """Prometheus or Alertmanager does not answer; the text says which, why, and what to do."""


class Monitoring:
    """`netrc_file` has a password for each host name, as curl's `--netrc-file`; without one, none is sent."""

    def __init__(
        self,
        prometheus: str = "http://127.0.0.1:9090",
        alertmanager: str = "http://127.0.0.1:9093",
        netrc_file: Path = Path("/etc/hypertool/secrets/netrc"),
    ) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._passwords = netrc.netrc(str(netrc_file)) if netrc_file.exists() else None
        # Loopback is never behind a proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def value(self, expression: str) -> float | None:
        """The one value of a PromQL expression now; None where it has none."""
        answer = self._get(f"{self._prometheus}/api/v1/query?{urlencode({'query': expression})}")
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def alert(self, name: str) -> dict[str, Any] | None:
        """The active alert of that name in Alertmanager: labels, annotations, `startsAt`."""
        query = urlencode({"filter": f'alertname="{name}"', "active": "true"})
        found = self._get(f"{self._alertmanager}/api/v2/alerts?{query}")
        return found[0] if found else None

    def _get(self, url: str) -> Any:
        request = urllib.request.Request(url)
        known = self._passwords.authenticators(urlsplit(url).hostname or "") if self._passwords else None
        if known is not None:
            named = base64.b64encode(f"{known[0]}:{known[2]}".encode()).decode()
            request.add_header("Authorization", f"Basic {named}")
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except urllib.error.URLError as error:
            parts = urlsplit(url)
            where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            raise Unavailable(
                f"{where} does not answer as expected ({error.reason}); see that it runs and that this user may read "
                "the password file, or name another address (--help)"
            ) from error


def until(what: str, seconds: float, check: Callable[[], Any]) -> Any:
    """The first result of `check` that is not None. TimeoutError says what was waited for."""
    deadline = time.monotonic() + seconds
    while (result := check()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}, in vain")
        time.sleep(1)
    return result
