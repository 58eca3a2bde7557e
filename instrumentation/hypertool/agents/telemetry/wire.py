"""OTLP requests (logs and spans; protobuf or JSON) as plain records: name, time and attributes. Bodies are not read."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from ...runtime.light_typing import Any, NamedTuple

MAX_RECORDS = 10_000


class Record(NamedTuple):
    """A log record (`name` is its event's) or a span; `at` in seconds since the epoch; includes resource attributes."""

    name: str
    at: float
    attributes: dict[str, Any]


class Malformed(ValueError):
    """A request that is not valid OTLP."""


def records(raw: bytes, signal: str, is_json: bool) -> list[Record]:
    """The records of a request; `signal` is logs or traces. Raises Malformed."""
    try:
        found = _from_json(json.loads(raw), signal) if is_json else _from_protobuf(raw, signal)
        return [record for record, _ in zip(found, range(MAX_RECORDS), strict=False)]
    except Malformed:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None


# JSON

_JSON = {"logs": ("resourceLogs", "scopeLogs", "logRecords"), "traces": ("resourceSpans", "scopeSpans", "spans")}


def _from_json(document: Any, signal: str) -> Iterator[Record]:
    outer, middle, inner = _JSON[signal]
    for resource in document.get(outer, ()):
        shared = _json_attributes(resource.get("resource", {}).get("attributes", ()))
        for scope in resource.get(middle, ()):
            for one in scope.get(inner, ()):
                attributes = {**shared, **_json_attributes(one.get("attributes", ()))}
                at = one.get("timeUnixNano") or one.get("endTimeUnixNano") or one.get("observedTimeUnixNano") or 0
                name = one.get("eventName") or attributes.get("event.name") or one.get("name") or ""
                yield Record(str(name), int(at) / 1e9, attributes)


def _json_attributes(given: Any) -> dict[str, Any]:
    found = {}
    for pair in given:
        value = pair.get("value") or {}
        if "stringValue" in value:
            found[pair["key"]] = value["stringValue"]
        elif "intValue" in value:
            found[pair["key"]] = int(value["intValue"])
        elif "doubleValue" in value:
            found[pair["key"]] = value["doubleValue"]
        elif "boolValue" in value:
            found[pair["key"]] = value["boolValue"]
    return found


# Protobuf: opentelemetry/proto/{logs,trace,common,resource}/v1. Field numbers are those of the proto files.


def _fields(raw: memoryview) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a message: integers, or the bytes of nested messages."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield tag >> 3, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if at + size > len(raw):
                raise Malformed("a number is cut off")
            yield tag >> 3, raw[at : at + size]
            at += size
        elif kind == 2:
            size, at = _varint(raw, at)
            if at + size > len(raw):
                raise Malformed("a message is cut off")
            yield tag >> 3, raw[at : at + size]
            at += size
        else:
            raise Malformed(f"wire type {kind}")


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(raw) or shift > 63:
            raise Malformed("an integer is cut off")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _from_protobuf(raw: bytes, signal: str) -> Iterator[Record]:
    read = _log_record if signal == "logs" else _span
    for number, resource in _fields(memoryview(raw)):
        if number != 1:
            continue
        shared: dict[str, Any] = {}
        scopes = []
        for inner, value in _fields(resource):
            if inner == 1:
                shared = _attributes(value, 1)
            elif inner == 2:
                scopes.append(value)
        for scope in scopes:
            for inner, value in _fields(scope):
                if inner == 2:
                    yield read(value, shared)


def _log_record(raw: memoryview, shared: dict[str, Any]) -> Record:
    name, at = "", 0
    for number, value in _fields(raw):
        if number in (1, 11) and not at:
            at = struct.unpack("<Q", value)[0]
        elif number == 12:
            name = _text(value)
    attributes = {**shared, **_attributes(raw, 6)}
    return Record(name or str(attributes.get("event.name", "")), at / 1e9, attributes)


def _span(raw: memoryview, shared: dict[str, Any]) -> Record:
    name, at = "", 0
    for number, value in _fields(raw):
        if number == 5:
            name = _text(value)
        elif number == 8:
            at = struct.unpack("<Q", value)[0]
    return Record(name, at / 1e9, {**shared, **_attributes(raw, 9)})


def _attributes(raw: memoryview, field: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, pair in _fields(raw):
        if number != field:
            continue
        key, scalar = "", None
        for inner, value in _fields(pair):
            if inner == 1:
                key = _text(value)
            elif inner == 2:
                scalar = _scalar(value)
        if key and scalar is not None:
            found[key] = scalar
    return found


def _scalar(raw: memoryview) -> Any:
    for number, value in _fields(raw):
        if number == 1:
            return _text(value)
        if number == 2:
            return bool(value)
        if number == 3:
            return value - (1 << 64) if value >= 1 << 63 else value
        if number == 4:
            return struct.unpack("<d", value)[0]
    return None


def _text(value: Any) -> str:
    if not isinstance(value, memoryview):
        raise Malformed("a number where a text was expected")
    return bytes(value).decode("utf-8", "replace")
