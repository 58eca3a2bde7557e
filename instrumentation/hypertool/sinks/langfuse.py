"""The Langfuse sink: spans over OTLP/HTTP, and quality gates as scores. It does not need the langfuse package.

The attributes follow the server's published mapping (packages/shared/src/server/otel in
https://github.com/langfuse/langfuse). The server keeps user, session and tags per observation, so every span has them.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..recording.ambient import RUN, current_place
from ..runtime.redaction import redact, redact_name
from .base import Count, Outcome, Verdict
from .http import HttpSink
from .otlp_encoding import ForeignSpan, encode

if TYPE_CHECKING:
    from ..recording.runs import Run
    from .transport import Transport

NAME = "langfuse"
DEFAULT_HOST = "https://cloud.langfuse.com"
TIMEOUT_SECONDS = 5.0
_HINTS = dict.fromkeys((401, 403), "LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST")
_SCORES = uuid.UUID("7d1f4e2e-6f0b-5c43-9a2f-0f3f0d7c9b11")


class Keys(NamedTuple):
    """Server and credentials of a Langfuse project; `repr` shows no secret."""

    public: str
    secret: str
    base: str

    def __repr__(self) -> str:
        return f"Keys(public={self.public!r}, secret=..., base={self.base!r})"


def from_environment(public: str | None = None, secret: str | None = None, host: str | None = None) -> Keys | None:
    """The given keys, else those in the environment; None if the public or the secret key is missing."""
    public = (public or os.environ.get("LANGFUSE_PUBLIC_KEY", "")).strip()
    secret = (secret or os.environ.get("LANGFUSE_SECRET_KEY", "")).strip()
    base = (host or os.environ.get("LANGFUSE_BASE_URL", "") or os.environ.get("LANGFUSE_HOST", "")).strip()
    return Keys(public, secret, (base or DEFAULT_HOST).rstrip("/")) if public and secret else None


class LangfuseAttributes(ForeignSpan):
    """Langfuse's attributes of a span: collected in the caller's thread, rendered in the sink's thread.

    Every span has the persona as user, the run as session, and chatmode and workflow as tags. The workflow's span has
    no user, because a run has several personas. `last` returns further attributes when the span has ended.
    """

    __slots__ = ("chatmode", "last", "persona", "run")

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.run: Run | None = RUN.get()
        persona = given.get("gen_ai.agent.name") or given.get("stage.persona")
        chatmode = given.get("hypertool.chatmode") or given.get("stage.chatmode")
        if not (persona and chatmode) and "hypertool.workspace" not in given:
            here = current_place()
            persona, chatmode = persona or here[0], chatmode or here[1]
        self.persona = persona
        self.chatmode = chatmode
        self.last: Callable[[], Mapping[str, Any]] | None = None

    def attributes(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """The span's own attributes together with Langfuse's."""
        found: dict[str, Any] = {}
        if self.persona:
            found["langfuse.user.id"] = self.persona
        tags = [self.chatmode] if self.chatmode else []
        run = self.run
        if run is not None:
            found["langfuse.session.id"] = run.id
            if run.workflow:
                found["langfuse.trace.name"] = redact_name(f"workflow.{run.workflow}")
                tags.append(run.workflow)
            if not tags or (tags == [run.workflow] and run.default_chatmode):
                tags = [one for one in (run.default_chatmode, run.workflow) if one]
        if tags:
            found["langfuse.trace.tags"] = tuple(map(redact_name, tags))
        found.update(own)
        if self.last is not None:
            found.update(self.last())
        return found


class _LangfuseHttp(HttpSink):
    """Posts to one route of the server with the project's keys."""

    route: str
    headers: Mapping[str, str]
    compression: str

    def __init__(self, name: str, keys: Keys, count: Count, **options: Any) -> None:
        self.keys = keys
        super().__init__(name, count, redact(keys.base) + self.route, _HINTS, **options)

    def connect(self) -> Transport:
        from .transport import Transport, basic

        return Transport(
            self.keys.base + self.route,
            {**self.headers, "Authorization": basic(self.keys.public, self.keys.secret)},
            TIMEOUT_SECONDS,
            self.compression,
        )


class LangfuseSink(_LangfuseHttp):
    """Sends batches of ended spans to the server's OTLP endpoint."""

    route = "/api/public/otel/v1/traces"
    # With this version the server stores spans at once; without it that may take ten minutes.
    headers = MappingProxyType({"Content-Type": "application/x-protobuf", "x-langfuse-ingestion-version": "4"})
    compression = "gzip"

    def __init__(self, keys: Keys, count: Count, count_scores: Count = lambda *_: None, **options: Any) -> None:
        super().__init__(NAME, keys, count, **options)
        self.scores = ScoreSink(keys, count_scores)

    def encode(self, batch: list[Any]) -> bytes:
        return encode(batch)

    def score(self, trace_id: str, span_id: str, name: str, passed: bool, comment: str | None = None) -> None:
        """Attach a verdict to a span. Its id is derived from span and name, so that a retry makes no second score."""
        identity = str(uuid.uuid5(_SCORES, f"{trace_id}:{span_id}:{name}"))
        body = {
            "id": identity,
            "traceId": trace_id,
            "observationId": span_id,
            "name": name,
            "value": 1 if passed else 0,
            "dataType": "BOOLEAN",
        }
        if comment:
            body["comment"] = comment
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        self.scores.submit({"id": identity, "type": "score-create", "timestamp": stamp, "body": body})


class ScoreSink(_LangfuseHttp):
    """Sends scores; they are counted apart from spans."""

    route = "/api/public/ingestion"
    headers = MappingProxyType({"Content-Type": "application/json"})
    compression = "none"  # this route accepts no compressed bodies

    def __init__(self, keys: Keys, count: Count, **options: Any) -> None:
        super().__init__("langfuse-scores", keys, count, **options)

    def encode(self, batch: list[Any]) -> bytes:
        return json.dumps({"batch": batch}).encode()

    def accepted(self, body: bytes) -> Verdict:
        reasons = _refusals(body)
        if not reasons:
            return Verdict(Outcome.SENT)
        return Verdict(Outcome.SENT, f"{len(reasons)} scores were refused ({reasons[0]})", rejected=len(reasons))


def _refusals(answer: bytes) -> list[str]:
    """The reasons for refused scores; the server answers 207 even if it accepted none of a batch."""
    try:
        errors = json.loads(answer).get("errors") or []
        return [
            redact(f"{one.get('status', '?')} {one.get('error') or one.get('message') or ''}".strip(), 120)
            for one in errors
        ]
    except (ValueError, AttributeError, TypeError):  # not the documented answer, so no refusals are known
        return []
