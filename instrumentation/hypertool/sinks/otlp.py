"""The OTLP sink: spans as http/protobuf to the endpoint that the standard OTEL_* variables name.

Encoding, headers, timeout, compression and TLS are OpenTelemetry's own exporter's; retries, counting, logging and
the bounded exit are `SpanSink`'s, so the exporter is given a session that makes every export a single try.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ..loading import loading
from ..logs import log, once
from ..redaction import redact
from .base import Count, Outcome, SpanSink, Verdict

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

NAME = "otlp"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRYABLE = frozenset({429, 502, 503, 504})


def configured() -> bool:
    """Whether the environment asks for OTLP traces: an endpoint, or `otlp` in OTEL_TRACES_EXPORTER."""
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporters:
        return "otlp" in [one.strip() for one in exporters.split(",")]
    return any(os.environ.get(name, "").strip() for name in _ENDPOINTS)


def endpoint() -> str:
    """Where the traces go, for people to read (without credentials)."""
    own = os.environ.get(_ENDPOINTS[0], "").strip()
    base = os.environ.get(_ENDPOINTS[1], "").strip() or "http://localhost:4318"
    return redact(own or f"{base.removesuffix('/')}/v1/traces")


def warn_of_protocol() -> None:
    """Say once that another protocol than http/protobuf was asked for."""
    for name in _PROTOCOLS:
        asked = os.environ.get(name, "").strip().lower()
        if asked:
            if asked != _PROTOCOL:
                once.warn("otlp-protocol",
                          f"{name}={asked} is not supported; traces go to {endpoint()} as {_PROTOCOL}: "
                          f"point the endpoint at the OTLP/HTTP port (4318) and set {name}={_PROTOCOL}")
            return


class OtlpSink(SpanSink):
    """Sends batches to the OTLP endpoint of the environment."""

    def __init__(self, count: Count, **options: Any) -> None:
        self._exporter: OTLPSpanExporter | None = None
        self._session: Any = None
        super().__init__(NAME, count, **options)
        warn_of_protocol()

    def prepare(self) -> None:
        try:
            self._connect()
        except Exception as error:  # a broken variable (certificate, header): each batch says so again, once logged
            log.debug("otlp: %s", error)

    def send(self, batch: list[Any]) -> Verdict:
        exporter = self._connect()
        self._session.verdict = None
        # Older exporters let the session's error through; newer ones turn it into a failed export.
        with contextlib.suppress(_TriedError):
            exporter.export(batch)
        verdict = self._session.verdict
        if verdict is None:
            return Verdict(Outcome.REFUSED, "the spans could not be encoded")
        return _of_partial_success(verdict) if isinstance(verdict, bytes) else verdict

    def reset(self) -> None:
        # Not closed: the sockets are the parent's too, and closing TLS would end its connection.
        self._exporter = self._session = None

    def _connect(self) -> OTLPSpanExporter:
        if self._exporter is None:
            with loading:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
                from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: F401 - not in the first send

                self._session = _session()
                self._exporter = OTLPSpanExporter(session=self._session)
            _quiet_in_this_thread("opentelemetry.exporter.otlp.proto.http.trace_exporter",
                                  "opentelemetry.exporter.otlp.common.http")
        return self._exporter


def _session() -> Any:
    import requests

    class OneTrySession(requests.Session):
        """Keeps what became of a request, and hides from the exporter what would make it try again by itself."""

        verdict: Verdict | bytes | None = None

        def request(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["allow_redirects"] = False
            try:
                response = super().request(*args, **kwargs)
            except requests.RequestException as error:
                self.verdict = Verdict(Outcome.LATER, f"{endpoint()} does not answer ({_short(error)})")
                raise _TriedError from None
            self.verdict = _judge(response)
            if not isinstance(self.verdict, bytes):
                raise _TriedError
            return response

    return OneTrySession()


class _TriedError(Exception):
    """Ends an export after its one try; no OSError, because the exporter tries those again."""


def _judge(response: Any) -> Verdict | bytes:
    status = response.status_code
    if 200 <= status < 300:
        return bytes(response.content or b"")
    said = redact(" ".join((response.text or "")[:200].split()), 120)
    reason = f"{endpoint()} answered {status} {response.reason or ''}".rstrip() + (f" ({said})" if said else "")
    if status in _RETRYABLE:
        return Verdict(Outcome.LATER, reason, _retry_after(response.headers.get("Retry-After")))
    if status in (401, 403):
        reason += "; check OTEL_EXPORTER_OTLP_HEADERS"
    elif status == 404:
        reason += "; check the endpoint's path"
    return Verdict(Outcome.REFUSED, reason)


def _of_partial_success(body: bytes) -> Verdict:
    if not body:
        return Verdict(Outcome.SENT)
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Verdict(Outcome.SENT)  # accepted; what a proxy wrote under it does not matter
    if not partial.rejected_spans:
        return Verdict(Outcome.SENT)
    return Verdict(Outcome.SENT, f"{endpoint()} threw away {partial.rejected_spans} spans "
                   f"({redact(partial.error_message, 120)})", rejected=partial.rejected_spans)


def _retry_after(value: str | None) -> float:
    if not value:
        return 0.0
    try:
        return max(0.0, min(float(value), 3600.0))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _short(error: Exception) -> str:
    """The root of a requests error, which nests three others around it."""
    return redact(str(error).rsplit(": ", 1)[-1].strip(" '\")"), 120) or type(error).__name__


def _quiet_in_this_thread(*names: str) -> None:
    """Keep the exporter's own lines about our batches out of the log: the sink says each change of state itself."""
    thread = threading.get_ident()
    for name in names:
        logging.getLogger(name).addFilter(lambda record: record.thread != thread)
