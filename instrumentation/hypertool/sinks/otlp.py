"""The OTLP sink: spans as http/protobuf to the endpoint that the standard OTEL_* variables name.

They are read as OpenTelemetry's exporter for Python reads them; variables for traces override the general ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..runtime.logs import once
from ..runtime.redaction import redact
from ..runtime.settings import TRACES_ENDPOINT
from .base import Count, Outcome, Verdict
from .http import HttpSink
from .otlp_encoding import encode

if TYPE_CHECKING:
    from .transport import Transport

NAME = "otlp"
_PREFIX = "OTEL_EXPORTER_OTLP_"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL = "http/protobuf"
_DEFAULT_SECONDS = 10.0
_HINTS = {
    401: "OTEL_EXPORTER_OTLP_HEADERS",
    403: "OTEL_EXPORTER_OTLP_HEADERS",
    404: "the endpoint's path",
    407: "the credentials of the proxy",
}


def _setting(name: str) -> tuple[str, str]:
    """Name and value of a variable, the one for traces first; the value is empty if neither is set."""
    for variable in (f"{_PREFIX}TRACES_{name}", _PREFIX + name):
        value = os.environ.get(variable, "").strip()
        if value:
            return variable, value
    return _PREFIX + name, ""


def configured() -> bool:
    """Whether the environment asks for OTLP traces: an endpoint (ours too), or `otlp` in OTEL_TRACES_EXPORTER."""
    return _asked_for(os.environ) and (
        bool(_exporters(os.environ)) or bool(_standard(os.environ)) or bool(TRACES_ENDPOINT.read())
    )


def _exporters(environment: Mapping[str, str]) -> str:
    return environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()


def _asked_for(environment: Mapping[str, str]) -> bool:
    exporters = _exporters(environment)
    return not exporters or "otlp" in [one.strip() for one in exporters.split(",")]


def _standard(environment: Mapping[str, str]) -> str:
    """The URL that the standard variables name; empty without one."""
    own, base = (environment.get(name, "").strip() for name in _ENDPOINTS)
    return own or (f"{base.removesuffix('/')}/v1/traces" if base else "")


def _url() -> str:
    return _standard(os.environ) or TRACES_ENDPOINT.read() or "http://localhost:4318/v1/traces"


def handed_on(environment: Mapping[str, str]) -> str | None:
    """The URL for TRACES_ENDPOINT of commands in an agent's shell, None without one or where it needs a secret."""
    url = _standard(environment)
    secret = "@" in url or any(environment.get(f"{_PREFIX}{name}HEADERS", "").strip() for name in ("TRACES_", ""))
    return url if url and not secret and _asked_for(environment) else None


def endpoint() -> str:
    """The address of the endpoint without credentials, for messages."""
    return redact(_url())


def warn_of_protocol() -> None:
    """Log once if a protocol other than http/protobuf is configured."""
    name, asked = _setting("PROTOCOL")
    if asked and asked.lower() != _PROTOCOL:
        once.warn(
            "otlp-protocol",
            f"{name}={asked} is not supported; traces go to {endpoint()} as {_PROTOCOL}: "
            f"point the endpoint at the OTLP/HTTP port (4318) and set {name}={_PROTOCOL}",
        )


def _seconds() -> float:
    """The timeout. The specification says milliseconds, OpenTelemetry for Python seconds; 1000 or more is the first."""
    name, given = _setting("TIMEOUT")
    try:
        seconds = float(given or _DEFAULT_SECONDS)
        if math.isfinite(seconds) and seconds > 0:
            return seconds / 1000 if seconds >= 1000 else seconds
    except ValueError:
        pass
    once.warn("otlp-timeout", f"{name}={given:.40} is not a timeout in seconds; using {_DEFAULT_SECONDS:g}")
    return _DEFAULT_SECONDS


def _compression() -> str:
    name, given = _setting("COMPRESSION")
    asked = given.lower() or "none"
    if asked in ("gzip", "deflate", "none"):
        return asked
    once.warn("otlp-compression", f"{name}={given:.40} is unknown: expected gzip, deflate or none; using none")
    return "none"


def _headers() -> dict[str, str]:
    """`name=value` pairs separated by commas, percent-encoded or not."""
    variable, given = _setting("HEADERS")
    headers = {}
    for pair in filter(None, (one.strip() for one in given.split(","))):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            headers[unquote(name).strip().lower()] = unquote(value).strip()
        else:
            once.warn("otlp-headers", f"{variable} has a part that is not name=value; that part is ignored")
    return headers


class OtlpSink(HttpSink):
    """Sends batches to the OTLP endpoint that the environment names."""

    def __init__(self, count: Count, **options: Any) -> None:
        super().__init__(NAME, count, endpoint(), _HINTS, **options)
        warn_of_protocol()

    def connect(self) -> Transport:
        from .transport import Transport, Trust

        trust = Trust(*(_setting(name)[1] or None for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")))
        return Transport(
            _url(), {**_headers(), "Content-Type": "application/x-protobuf"}, _seconds(), _compression(), trust
        )

    def encode(self, batch: list[Any]) -> bytes:
        return encode(batch)

    def accepted(self, body: bytes) -> Verdict:
        rejected, why = _partial_success(body)
        if not rejected:
            return Verdict(Outcome.SENT)
        return Verdict(Outcome.SENT, f"{endpoint()} rejected {rejected} spans ({redact(why, 120)})", rejected=rejected)


def _partial_success(answer: bytes) -> tuple[int, str]:
    """How many spans an ExportTraceServiceResponse reports as rejected, and why.

    https://github.com/open-telemetry/opentelemetry-proto: partial_success = 1 { rejected_spans = 1, error_message = 2 }
    """
    try:
        partial = dict(_fields(dict(_fields(answer)).get(1, b"")))
        rejected, why = partial.get(1, 0), partial.get(2, b"")
        return (rejected if isinstance(rejected, int) else 0), (why.decode() if isinstance(why, bytes) else "")
    except (ValueError, TypeError, IndexError):
        return 0, ""  # Accepted; a proxy may have replaced the body.


def _fields(data: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message. Raises ValueError, TypeError or IndexError."""
    if isinstance(data, int):
        raise TypeError("not a message")
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError("not protobuf")
        length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + length > len(data):
            raise IndexError("truncated")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a varint")
