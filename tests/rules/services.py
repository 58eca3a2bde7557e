"""Starts a real Alertmanager and a real receiver of its web hooks, and waits on conditions."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.rules.cases import PROMETHEUS
from tests.support import box
from tests.support import service as support
from tests.support.box import free_port
from tests.support.service import service

T = TypeVar("T")


def get_json(url: str) -> Any:
    """The JSON document at a URL."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def query(prometheus: str, expression: str, at: float | None = None) -> list[dict[str, Any]]:
    """The rows of an instant query, now or at a time; an error is an exception with Prometheus' own words."""
    parameters = {"query": expression} if at is None else {"query": expression, "time": f"{at:.3f}"}
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode(parameters)}"
    try:
        answer = get_json(url)
    except urllib.error.HTTPError as refused:
        raise AssertionError(f"Prometheus refused {expression!r}: {refused.read().decode()}") from refused
    rows: list[dict[str, Any]] = answer["data"]["result"]
    return rows


def until(what: str, condition: Callable[[], T | None], seconds: float = 60) -> T:
    """Wait until `condition` returns something true; fails with what was waited for."""
    return box.until(what, seconds, lambda: condition() or None)


def post_alerts(alertmanager: str, alerts: list[dict[str, str]], annotations: dict[str, str]) -> None:
    """Tell an Alertmanager that alerts with these labels fire, as Prometheus does."""
    ends = (datetime.now(timezone.utc) + timedelta(minutes=10)).isoformat()
    body = json.dumps([{"labels": labels, "annotations": annotations, "endsAt": ends} for labels in alerts])
    request = urllib.request.Request(
        f"{alertmanager}/api/v2/alerts", body.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


class Receiver:
    """A web hook: keeps what was posted to it, with path and headers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        received = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet: what arrived is asserted on, not read."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The bodies of everything posted so far."""
        return [body for _, _, body in list(self.requests)]

    def alerts(self, status: str = "firing") -> dict[tuple[str, str], dict[str, Any]]:
        """Every alert of that status that has arrived, by alert name and instance."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance", "")): alert
            for post in self.posts
            for alert in post["alerts"]
            if alert["status"] == status
        }


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens for as long as the block lasts."""
    hook = Receiver()
    thread = threading.Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        hook.server.server_close()
        thread.join(10)


def _with_its_own_share(binaries: Path) -> list[str]:
    """The words before the command: Debian's Alertmanager reads its built-in templates from /usr/share.

    It is unpacked and not installed, so it gets a /usr/share of its own, seen by that process only.
    """
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    share = binaries.parent / "share"
    words = [*own, "--", "sh", "-c", f'mount --bind "{share}" /usr/share && exec "$@"', "sh"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace for the unpacked Alertmanager ({tried.stderr.strip()}); run as root on a host")
    return words


@contextmanager
def alertmanager(binaries: Path, folder: Path, config: str, templates: Path) -> Iterator[str]:
    """An Alertmanager with this configuration beside our templates; yields its base URL."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(config, encoding="utf-8")
    (folder / "templates").symlink_to(templates)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        *_with_its_own_share(binaries),
        str(binaries / "prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with service(command, url, folder / "alertmanager.log"):
        yield url


@contextmanager
def prometheus(binaries: Path, folder: Path, config: str | None, *flags: str) -> Iterator[str]:
    """A Prometheus on the data in `folder`/data that repeats its alerts quickly; yields its base URL.

    Without a `config` it runs the project's own configuration, from where that is.
    """
    file = PROMETHEUS / "prometheus.yml"
    if config is not None:
        file = folder / "prometheus.yml"
        file.write_text(config, encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    # Alerts fire here before Prometheus has looked for Alertmanager, and would be repeated only after a minute.
    repeat = "--rules.alert.resend-delay=1s"
    with support.prometheus(binaries, file, folder / "data", url, folder / "prometheus.log", repeat, *flags):
        yield url
