"""The service on :9464: serves the exact merge of all processes and folds finished ones in the background."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.registry import Collector

from ..domain.personas import Catalogue, config_signature, load_catalogue
from ..errors import ConfigError, StoreUnavailable
from ..metrics.exposition import families, names
from ..runtime.logs import log
from ..runtime.settings import LISTEN
from ..store.store import Store
from .addresses import Address, listen_address
from .agent_sessions import AgentSessions
from .agent_telemetry import MAX_BODY, PATHS, AgentTelemetry, Answer, is_own_user
from .bodies import BadBody, read_body
from .delivery_proof import delivery_proof
from .lifecycle import log_to_stderr, serve_until_stopped
from .owners import namespace_hides_owners
from .server import LocalHandler, LocalServer, listen
from .systemd import hold_stop_signals

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FOLD_SECONDS = 1.0
_VERSION = re.compile(r"version=([^;,]*)", re.ASCII)
_VERSION_NUMBER = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")

_PAGE = b"""<!doctype html><html lang="en"><title>Hypertool exporter</title>
<h1>Hypertool exporter</h1><p><a href="/metrics">Metrics</a> of every persona and workflow on this host.</p></html>
"""


class HostCollector(Collector):
    """The whole host as one Prometheus collector."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self.store = store
        self.catalogue = catalogue

    def describe(self) -> Iterable[Metric]:
        """The names alone, so that registration reads nothing."""
        return names()

    def collect(self) -> Iterable[Metric]:
        """Raises StoreUnavailable: a scrape that cannot see the store must fail, not show zeros."""
        yield from families(self.store.merge(self.catalogue), self.catalogue, self.store.resets.read(), time.time())
        yield delivery_proof(self.store.path)


class Exporter:
    """An HTTP server over one store. `close` ends it; used by the service and by `serve_metrics`."""

    def __init__(
        self,
        address: Address,
        store: Store,
        catalogue: Catalogue,
        reload: bool,
        telemetry: AgentTelemetry | None = None,
    ) -> None:
        self._collector = HostCollector(store, catalogue)
        self._stop = threading.Event()
        self._reload = reload
        self._seen = config_signature()
        self._complaint: str | None = None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        self._server = listen(address, LISTEN.name, _Server, _Handler)
        self._server.set_app(_application(make_wsgi_app(registry), telemetry))
        self.address = Address(address.host, self._server.server_port)

    def start(self) -> None:
        """Serve and fold in background threads."""
        threading.Thread(target=self._server.serve_forever, name="hypertool-exporter", daemon=True).start()
        threading.Thread(target=self._tend, name="hypertool-fold", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def close_inherited(self) -> None:
        """In a forked child: close the listening socket, which would hold the port without answering."""
        self._server.socket.close()

    def _tend(self) -> None:
        while True:
            try:
                while self._collector.store.fold(self._collector.catalogue):
                    if self._stop.is_set():
                        return
                self._complain(None)
            except Exception as error:  # The next round may succeed; this thread must not end.
                self._complain(f"finished processes cannot be folded for now (nothing is lost): {error}")
            if self._reload:
                self._reload_catalogue()
            if self._stop.wait(FOLD_SECONDS):
                return

    def _complain(self, text: str | None) -> None:
        if text != self._complaint:
            if text is not None:
                log.error("%s", text)
            else:
                log.warning("folding works again")
            self._complaint = text

    def _reload_catalogue(self) -> None:
        signature = config_signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._collector.catalogue = load_catalogue()
            log.warning("personas and workflows reloaded")
        except ConfigError as error:
            log.error("keeping the personas and workflows as they were: %s", error)


def _application(metrics: WSGIApplication, telemetry: AgentTelemetry | None) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if telemetry is not None and path in PATHS and environ.get("REQUEST_METHOD") == "POST":
            answer = _receive(telemetry, PATHS[path], environ)
            return _answer(start_response, answer.status, answer.body, answer.kind)
        if path == "/metrics":
            try:
                return metrics(_with_known_versions(environ), start_response)
            except StoreUnavailable as error:
                return _answer(start_response, "503 Service Unavailable", f"{error}\n".encode())
        if path == "/-/healthy":
            return _answer(start_response, "200 OK", b"ok\n")
        if path == "/":
            return _answer(start_response, "200 OK", _PAGE, "text/html; charset=utf-8")
        return _answer(start_response, "404 Not Found", b"not found; the metrics are at /metrics\n")

    return application


def _with_known_versions(environ: WSGIEnvironment) -> WSGIEnvironment:
    """The request without its Accept if a version in it is no number: prometheus-client compares versions as numbers.

    The answer then has the default format.
    """
    versions = _VERSION.findall(environ.get("HTTP_ACCEPT", ""))
    if all(_VERSION_NUMBER.fullmatch(version.strip()) for version in versions):
        return environ
    return {key: value for key, value in environ.items() if key != "HTTP_ACCEPT"}


def _answer(
    start_response: StartResponse, status: str, body: bytes, kind: str = "text/plain; charset=utf-8"
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _receive(telemetry: AgentTelemetry, signal: str, environ: WSGIEnvironment) -> Answer:
    plain = "text/plain; charset=utf-8"
    if not is_own_user(*environ["hypertool.ends"]):
        return Answer("403 Forbidden", b"agents of other users are counted by their own hooks\n", plain)
    try:
        body = read_body(environ, MAX_BODY)
    except BadBody as error:
        return Answer(error.status, f"{error}\n".encode(), plain)
    return telemetry.receive(signal, body, environ.get("CONTENT_TYPE", ""), environ.get("HTTP_CONTENT_ENCODING", ""))


class _Handler(LocalHandler, WSGIRequestHandler):
    def get_environ(self) -> WSGIEnvironment:
        """The request, with the names of the connection's two ends: they say whose process the client is."""
        return {**super().get_environ(), "hypertool.ends": (self.client_address, self.connection.getsockname())}


class _Server(LocalServer, ThreadingWSGIServer):
    def server_bind(self) -> None:
        super().server_bind()
        self.server_name, self.server_port = self.listens_on.host, self.server_address[1]
        self.setup_environ()


def run_exporter() -> int:
    """The service: serves until SIGTERM or SIGINT, then returns 0. Raises HypertoolError before it serves."""
    log_to_stderr()
    address = listen_address()
    catalogue = load_catalogue()
    store = Store.locate()
    store.directory.ensure()
    store.begin_service()
    store.merge()
    hold_stop_signals()
    if store.directory.served and namespace_hides_owners():
        log.error(
            "this service runs in a user namespace that shows all members' files as one user's: members share one "
            "limit and cannot reset budgets; remove PrivateUsers= from its unit, or map every user"
        )
    telemetry = AgentTelemetry()
    exporter = Exporter(address, store, catalogue, reload=True, telemetry=telemetry)
    AgentSessions(os.path.expanduser("~"), os.environ, telemetry).start()
    return serve_until_stopped(
        exporter, f"serving {store.path} on http://{exporter.address}/metrics", "read the metrics", sys.stdout
    )
