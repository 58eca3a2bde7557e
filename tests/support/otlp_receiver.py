"""A labelled double of an OTLP/HTTP traces endpoint: decodes the real protobuf, and misbehaves on request.

It stands in for a collector (Alloy, Tempo, any OTLP server). It listens on loopback, on a port that is free.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.loopback import Loopback


@dataclass
class Received:
    """One span as it was sent; times in nanoseconds since the epoch."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    status: int
    status_message: str
    resource: dict[str, Any]
    scope: str
    start: int
    end: int


@dataclass
class OtlpReceiver(Loopback):
    """`status`, `headers`, `reject` (partial success) and `delay` (seconds) say how requests are answered.

    `at` has the times (monotonic) of `requests`; a `port` of 0 is any.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    reject: int = 0
    delay: float = 0.0
    spans: list[Received] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> OtlpReceiver:
        self._changed = threading.Condition()
        self._serve(_handler(self), self.port)
        return self

    @property
    def url(self) -> str:
        """The base URL, for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://{self.address}"

    def wait(self, spans: int, seconds: float = 10.0) -> list[Received]:
        """The spans, once there are that many. AssertionError after `seconds`."""
        return self._until(lambda: len(self.spans) >= spans, seconds, f"{spans} spans") or list(self.spans)

    def ours(self, spans: int, seconds: float = 10.0) -> list[Received]:
        """The spans of this package, once there are that many; agents send theirs beside them."""

        def found() -> list[Received]:
            return [span for span in self.spans if span.scope == "hypertool"]

        self._until(lambda: len(found()) >= spans, seconds, f"{spans} spans of ours")
        return found()

    def wait_for_requests(self, requests: int, seconds: float = 10.0) -> None:
        """Wait for that many requests, whatever was answered."""
        self._until(lambda: len(self.requests) >= requests, seconds, f"{requests} requests")

    def by_name(self, name: str) -> Received:
        """The one span of that name."""
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}"
        return found[0]

    def _until(self, condition: Any, seconds: float, what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, seconds), (
                f"waited {seconds} s for {what}; have {len(self.spans)} spans, {len(self.requests)} requests"
            )

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """What the handler does with one request."""
        if path == "/repair":  # the program under test ends an outage by itself
            self.status = 200
            return 200, b""
        if self.delay:
            time.sleep(self.delay)
        encoding = headers.get("content-encoding")
        data = gzip.decompress(body) if encoding == "gzip" else zlib.decompress(body) if encoding == "deflate" else body
        # Agents also send logs and metrics, and some send JSON; none of it is ours.
        foreign = path.endswith(("/v1/logs", "/v1/metrics")) or "json" in headers.get("content-type", "")
        request = ExportTraceServiceRequest.FromString(b"" if foreign else data)
        with self._changed:
            self.requests.append((path, headers))
            self.at.append(time.monotonic())
            if self.status == 200:
                self.spans.extend(_decode(request))
            self._changed.notify_all()
        answer = ExportTraceServiceResponse()
        if self.reject:
            answer.partial_success.rejected_spans = self.reject
            answer.partial_success.error_message = "too old"
        return self.status, answer.SerializeToString() if self.status == 200 else b"no"


class BlackHole:
    """Accepts connections and never answers."""

    def __enter__(self) -> BlackHole:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"


def refused_url() -> str:
    """A base URL on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _handler(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, answer = receiver.take(self.path, headers, body)
            self.send_response(status)
            for key, value in receiver.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


def _decode(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            _values(span.attributes),
            [(event.name, _values(event.attributes)) for event in span.events],
            span.status.code,
            span.status.message,
            _values(resource.resource.attributes),
            scope.scope.name,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
