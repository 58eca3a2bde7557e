"""The stand-in's Loki: push (protobuf with snappy, or JSON) and a small part of query_range."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from .front import Answer, Request

PUSH, QUERY = "/loki/api/v1/push", "/loki/api/v1/query_range"
_PAIR = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*,?')
_FILTER = re.compile(r'\s*\|=\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')


@dataclass(frozen=True)
class Line:
    """One log line as it arrived; `count` says how many times it did."""

    labels: dict[str, str]
    timestamp_ns: int
    text: str
    count: int


Key = tuple[tuple[tuple[str, str], ...], int, str]


class Logs:
    """Keeps every line by labels, timestamp and text."""

    def __init__(self) -> None:
        self._seen: Counter[Key] = Counter()
        self._lock = threading.Lock()

    def lines(self, **labels: str) -> list[Line]:
        """Lines with these labels, oldest first."""
        with self._lock:
            seen = list(self._seen.items())
        found = [Line(dict(key[0]), key[1], key[2], count) for key, count in seen]
        return sorted(
            (line for line in found if labels.items() <= line.labels.items()), key=lambda line: line.timestamp_ns
        )

    def serve(self, request: Request) -> Answer:
        """Loki's answer."""
        if request.path == PUSH and request.method == "POST":
            return self._push(request)
        if request.path == QUERY and request.method == "GET":
            return self._query(request.query)
        return Answer(404, b"404 page not found\n")

    def _push(self, request: Request) -> Answer:
        try:
            if "json" in request.headers.get("content-type", ""):
                received = list(_of_json(json.loads(request.body)))
            else:
                received = list(_of_protobuf(bytes(cramjam.snappy.decompress_raw(request.body))))
        except (ValueError, KeyError, TypeError, DecodeError, cramjam.DecompressionError) as error:
            return Answer(400, f"{error}\n".encode())
        if not received:  # Loki's words, and its status
            return Answer(422, b"error at least one valid stream is required for ingestion\n")
        with self._lock:
            self._seen.update(received)
        return Answer(204)

    def _query(self, query: str) -> Answer:
        """Equal and regular-expression matchers, `|=` filters, start and end in nanoseconds, limit."""
        given = dict(urllib.parse.parse_qsl(query))
        selector, _, rest = given.get("query", "").partition("}")
        pairs = _PAIR.findall(selector.removeprefix("{"))
        if not pairs:
            return Answer(400, b'the stand-in understands {label="value"} |= "text"\n')
        words = [_unquoted(word) for word in _FILTER.findall(rest)]
        start = int(given.get("start", time.time_ns() - 3600 * 10**9))
        end = int(given.get("end", time.time_ns()))
        streams: dict[str, tuple[dict[str, str], list[list[str]]]] = {}
        for line in self.lines():
            if not (
                start <= line.timestamp_ns < end
                and _matches(pairs, line.labels)
                and all(word in line.text for word in words)
            ):
                continue
            stream = streams.setdefault(json.dumps(line.labels, sort_keys=True), (line.labels, []))
            stream[1].append([str(line.timestamp_ns), line.text])
        limit = int(given.get("limit", "100"))
        result = [{"stream": labels, "values": values[-limit:]} for labels, values in streams.values()]
        return Answer.of_json({"status": "success", "data": {"resultType": "streams", "result": result}})


def _matches(pairs: list[tuple[str, str, str]], labels: dict[str, str]) -> bool:
    for name, operator, quoted in pairs:
        value, wanted = labels.get(name, ""), _unquoted(quoted)
        if not (value == wanted if operator == "=" else re.fullmatch(wanted, value)):
            return False
    return True


def _unquoted(quoted: str) -> str:
    return quoted[1:-1] if quoted.startswith("`") else str(json.loads(quoted))


def _of_json(document: Any) -> list[Key]:
    return [
        (tuple(sorted(stream["stream"].items())), int(value[0]), str(value[1]))
        for stream in document["streams"]
        for value in stream["values"]
    ]


def _of_protobuf(data: bytes) -> list[Key]:
    request = _PUSH_REQUEST.FromString(data)
    found: list[Key] = []
    for stream in request.streams:
        pairs = _PAIR.findall(stream.labels.removeprefix("{").removesuffix("}"))
        if not pairs:
            raise ValueError(f"error parsing labels {stream.labels!r}: at least one label pair is required per stream")
        labels = tuple(sorted((name, _unquoted(value)) for name, _, value in pairs))
        for entry in stream.entries:
            found.append((labels, entry.timestamp.seconds * 10**9 + entry.timestamp.nanos, entry.line))
    return found


def _push_request() -> Any:
    """The message of Loki's pkg/push/push.proto, as far as it is needed here."""
    file = descriptor_pb2.FileDescriptorProto(name="stand_in/push.proto", package="stand_in", syntax="proto3")
    shapes: dict[str, list[tuple[str, int, str]]] = {
        "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
        "Entry": [("timestamp", 1, "Timestamp"), ("line", 2, "string")],
        "Stream": [("labels", 1, "string"), ("entries", 2, "Entry*")],
        "PushRequest": [("streams", 1, "Stream*")],
    }
    kinds = {"int64": 3, "int32": 5, "string": 9}
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            one = message.field.add(name=label, number=number, label=3 if kind.endswith("*") else 1)
            if kind in kinds:
                one.type = kinds[kind]  # type: ignore[assignment]
            else:
                one.type, one.type_name = 11, f".stand_in.{kind.rstrip('*')}"  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("stand_in.PushRequest"))


_PUSH_REQUEST = _push_request()
