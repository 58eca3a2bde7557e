"""A sink over HTTP: sends a batch by POST and judges the answer. Subclasses define the payload and the URL."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..runtime.late_imports import loading
from ..runtime.redaction import redact
from .base import Count, Outcome, SpanSink, Verdict

if TYPE_CHECKING:
    from .transport import Answer, Transport

# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRYABLE = frozenset({429, 502, 503, 504})


class HttpSink(SpanSink):
    """Posts each batch to one address, one attempt at a time.

    `where` is the address without credentials, for messages; `hints` says what to check, by HTTP status.
    """

    def __init__(self, name: str, count: Count, where: str, hints: Mapping[int, str], **options: Any) -> None:
        self._where = where
        self._hints = hints
        self._transport: Transport | None = None
        super().__init__(name, count, **options)

    @abstractmethod
    def connect(self) -> Transport:
        """A new transport. Raises `transport.Unusable` for settings that cannot work."""

    @abstractmethod
    def encode(self, batch: list[Any]) -> bytes:
        """The request body of a batch."""

    def accepted(self, body: bytes) -> Verdict:
        """The verdict on an answer with a 2xx status."""
        return Verdict(Outcome.SENT)

    def reset(self) -> None:
        # Not closed: the parent uses the same socket, and closing TLS would end its connection.
        self._transport = None

    def prepare(self) -> None:
        with loading:
            from . import transport  # noqa: F401 - loaded now, because the first send may be at exit

            self.encode([])

    def send(self, batch: list[Any]) -> Verdict:
        from .transport import NoAnswer, Unusable

        body = self.encode(batch)
        try:
            if self._transport is None:
                self._transport = self.connect()
            answer = self._transport.post(body)
        except NoAnswer as error:
            return Verdict(Outcome.LATER, f"{self._where} does not answer ({redact(str(error), 200)})")
        except Unusable as error:
            return Verdict(Outcome.LATER, redact(str(error), 300))
        return self._judge(answer)

    def _judge(self, answer: Answer) -> Verdict:
        if 200 <= answer.status < 300:
            return self.accepted(answer.body)
        said = redact(" ".join(answer.body[:400].decode(errors="replace").split()), 120)
        reason = f"{self._where} answered {answer.status} {answer.reason}".rstrip() + (f" ({said})" if said else "")
        if answer.status in _RETRYABLE:
            return Verdict(Outcome.LATER, reason, retry_after(answer.retry_after))
        if 300 <= answer.status < 400 and answer.location:
            reason += f"; it redirects to {redact(answer.location, 200)}"
        hint = self._hints.get(answer.status)
        return Verdict(Outcome.REFUSED, f"{reason}; check {hint}" if hint else reason)


def retry_after(value: str | None) -> float:
    """The pause in seconds that a Retry-After header (seconds or a date) asks for; 0 without a usable value."""
    if not value:
        return 0.0
    try:
        return max(0.0, min(float(value), 3600.0))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
