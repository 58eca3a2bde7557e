"""The service's OTLP receiver for coding agents of its own user: logs and spans, protobuf or JSON, gzip.

It takes what session files lack. A call waits a few seconds first, so that the session's file, which knows more (the
sub-agent), tells of it before.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from typing import Any, NamedTuple

from ..agents.calls import AgentCall, Unrecognised, text
from ..agents.ledger.attribution import UNKNOWN, Attribution
from ..agents.ledger.ledger import Ledger
from ..agents.reading.read import Reading
from ..agents.telemetry.calls import call_in
from ..agents.telemetry.wire import Malformed, records
from ..runtime.tcp_sockets import user_of

SOURCE = "otlp"
WAIT_SECONDS = 6.0
MAX_BODY = 16 << 20
MAX_WAITING = 10_000
PATHS = {"/v1/logs": "logs", "/v1/traces": "traces", "/v1/metrics": ""}


class Answer(NamedTuple):
    """Status, body and content type of an HTTP answer."""

    status: str
    body: bytes
    kind: str


class _Waiting(NamedTuple):
    since: float
    agent: str
    told: AgentCall | Unrecognised
    whose: Attribution


class AgentTelemetry:
    """What was received and is not in the ledger yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def receive(self, signal: str, body: bytes, kind: str, encoding: str) -> Answer:
        """Take a request with that content type (`kind`) and encoding. Metrics are accepted and not read."""
        is_json = kind.partition(";")[0].strip().lower() == "application/json"
        try:
            found = records(_unpacked(body, encoding), signal, is_json) if signal else []
        except (Malformed, zlib.error) as error:
            return Answer("400 Bad Request", f"no OTLP {signal}: {error}\n".encode(), "text/plain; charset=utf-8")
        now = time.monotonic()
        new = []
        for record in found:
            agent, told = call_in(record)
            if told is not None:
                persona = text(record.attributes.get("hypertool.persona")) or UNKNOWN
                new.append(_Waiting(now, agent, told, Attribution(persona)))
        with self._lock:
            self._waiting += new[: MAX_WAITING - len(self._waiting)]
        return Answer("200 OK", b"{}" if is_json else b"", "application/json" if is_json else "application/x-protobuf")

    def due(self) -> bool:
        """Whether something has waited long enough."""
        with self._lock:
            return bool(self._waiting) and time.monotonic() - self._waiting[0].since >= WAIT_SECONDS

    def count(self, ledger: Ledger) -> int:
        """Count what has waited long enough and nothing else has told of; returns the new calls."""
        until = time.monotonic() - WAIT_SECONDS
        with self._lock:
            ready = [one for one in self._waiting if one.since <= until]
        new = 0
        with ledger.writing():
            for one in ready:
                calls = [one.told] if isinstance(one.told, AgentCall) else []
                unrecognised = [one.told] if isinstance(one.told, Unrecognised) else []
                new += ledger.ingest(one.agent, Reading(calls, unrecognised, None), SOURCE, "", one.whose)
        with self._lock:
            del self._waiting[: len(ready)]
        return new


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() not in ("gzip", "deflate"):
        return body
    unpacking = zlib.decompressobj(47)  # gzip and zlib, by their own heads
    raw = unpacking.decompress(body, MAX_BODY)
    if unpacking.unconsumed_tail:
        raise Malformed(f"more than {MAX_BODY} bytes when unpacked")
    return raw


def is_own_user(client: Any, server: Any) -> bool:
    """Whether a client's process is of the user that the service runs as: others count in their own ledgers.

    `client` and `server` are the names of the connection's two ends.
    """
    return user_of(client, server) == os.geteuid()
