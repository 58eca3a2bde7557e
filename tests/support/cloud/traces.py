"""The stand-in's OTLP gateway (traces, protobuf and JSON) and a small part of Tempo's query side."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from .front import Answer, Request

EXPORT, TRACE = "/otlp/v1/traces", "/tempo/api/traces/"
_IDS = ("traceId", "spanId", "parentSpanId")


class Span(NamedTuple):
    """One span as it arrived; `count` says how many times it did."""

    trace_id: str
    span_id: str
    name: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    count: int


class Traces:
    """Keeps every span by trace and span id."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._spans: dict[tuple[str, str], ResourceSpans] = {}
        self._lock = threading.Lock()

    def spans(self) -> list[Span]:
        """Everything received so far."""
        with self._lock:
            kept = list(self._spans.items())
            counts = dict(self._counts)
        found = []
        for (trace_id, span_id), one in kept:
            span = one.scope_spans[0].spans[0]
            found.append(
                Span(
                    trace_id,
                    span_id,
                    span.name,
                    _values(span.attributes),
                    _values(one.resource.attributes),
                    counts[trace_id, span_id],
                )
            )
        return found

    def export(self, request: Request) -> Answer:
        """The gateway's answer."""
        if request.path != EXPORT or request.method != "POST":
            return Answer(404, b"the stand-in takes OTLP traces only\n")
        in_json = "json" in request.headers.get("content-type", "")
        try:
            if in_json:
                document = _bytes_for_ids(json.loads(request.body))
                message = json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
            else:
                message = ExportTraceServiceRequest.FromString(request.body)
        except (ValueError, DecodeError, json_format.ParseError) as error:
            return Answer(400, f"{error}\n".encode())
        self._take(message)
        if in_json:
            return Answer.of_json({"partialSuccess": {}})
        return Answer(200, ExportTraceServiceResponse().SerializeToString(), {"Content-Type": "application/x-protobuf"})

    def query(self, request: Request) -> Answer:
        """Tempo's GET /api/traces/<id>, in OTLP's JSON under the key `batches`, ids in base64 as protobuf has them."""
        if not request.path.startswith(TRACE):
            return Answer(404, b"404 page not found\n")
        wanted = request.path.removeprefix(TRACE).lower().zfill(32)
        with self._lock:
            parts = [one for (trace_id, _), one in self._spans.items() if trace_id == wanted]
        if not parts:
            return Answer(404, b"trace not found\n")
        document = json_format.MessageToDict(TracesData(resource_spans=parts))
        return Answer.of_json({"batches": document["resourceSpans"]})

    def _take(self, message: ExportTraceServiceRequest) -> None:
        with self._lock:
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        key = span.trace_id.hex(), span.span_id.hex()
                        self._counts[key] += 1
                        if key in self._spans:
                            continue
                        kept = ResourceSpans(resource=resource.resource)
                        kept.scope_spans.add(scope=scope.scope).spans.append(span)
                        self._spans[key] = kept


def _bytes_for_ids(document: Any) -> Any:
    """OTLP's JSON writes ids in hex, where protobuf's JSON mapping has base64."""
    if isinstance(document, list):
        return [_bytes_for_ids(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode() if key in _IDS else _bytes_for_ids(value)
        for key, value in document.items()
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}
