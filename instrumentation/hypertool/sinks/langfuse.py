"""The Langfuse sink: our own spans over OTLP/HTTP, and quality gates as scores. The langfuse package is not needed.

What the server makes of the attributes is its published mapping (packages/shared/src/server/otel in
https://github.com/langfuse/langfuse); user, session and tags are kept per observation, so every span carries them.
"""

from __future__ import annotations

import gzip
import json
import os
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ambient import current_chatmode, current_persona, current_run
from ..loading import loading
from ..redaction import redact
from .base import Count, Outcome, SpanSink, Verdict
from .otlp import _RETRYABLE, _retry_after, _short

if TYPE_CHECKING:
    from ..runs import Run

NAME = "langfuse"
DEFAULT_HOST = "https://cloud.langfuse.com"
TIMEOUT_SECONDS = 5.0
# Written at once by servers that also read the older format; without it they may take ten minutes.
_HEADERS = {"x-langfuse-ingestion-version": "4", "Content-Encoding": "gzip"}
_SCORES = uuid.UUID("7d1f4e2e-6f0b-5c43-9a2f-0f3f0d7c9b11")


class Keys(NamedTuple):
    """Where to send, and who sends; `repr` shows no secret."""

    public: str
    secret: str
    base: str

    def __repr__(self) -> str:
        return f"Keys(public={self.public!r}, secret=..., base={self.base!r})"


def from_environment(public: str | None = None, secret: str | None = None, host: str | None = None) -> Keys | None:
    """The keys that are given, else those of the environment; None where one of the two is missing."""
    public = (public or os.environ.get("LANGFUSE_PUBLIC_KEY", "")).strip()
    secret = (secret or os.environ.get("LANGFUSE_SECRET_KEY", "")).strip()
    base = (host or os.environ.get("LANGFUSE_BASE_URL", "") or os.environ.get("LANGFUSE_HOST", "")).strip()
    return Keys(public, secret, (base or DEFAULT_HOST).rstrip("/")) if public and secret else None


def ambient_attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """What Langfuse wants on every span: the persona as user, the run as session, chatmode and workflow as tags.

    The workflow's own span has no user: a run has several personas.
    """
    run: Run | None = current_run()
    persona = given.get("stage.persona") or given.get("gen_ai.agent.name")
    chatmode = given.get("stage.chatmode") or given.get("hypertool.chatmode")
    if "hypertool.workspace" not in given:
        persona, chatmode = persona or current_persona(), chatmode or current_chatmode()
    attributes: dict[str, Any] = {}
    if persona:
        attributes["langfuse.user.id"] = persona
    tags = [chatmode] if chatmode else []
    if run is not None:
        attributes["langfuse.session.id"] = run.id
        if run.workflow:
            attributes["langfuse.trace.name"] = f"workflow.{run.workflow}"
            tags.append(run.workflow)
        if not tags or (tags == [run.workflow] and run.default_chatmode):
            tags = [one for one in (run.default_chatmode, run.workflow) if one]
    if tags:
        attributes["langfuse.trace.tags"] = tags
    return attributes


class _Http(SpanSink):
    """Posts bytes to one address of the server, a single try each."""

    def __init__(self, name: str, keys: Keys, path: str, kind: str, count: Count, **options: Any) -> None:
        self.keys = keys
        self._where = keys.base + path
        self._kind = kind
        self._session: Any = None
        super().__init__(name, count, **options)

    def prepare(self) -> None:
        with loading:
            self._connect()

    def reset(self) -> None:
        # Not closed: the sockets are the parent's too.
        self._session = None

    def _connect(self) -> Any:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.auth = (self.keys.public, self.keys.secret)  # so that no .netrc puts its own in place
        return self._session

    def _post(self, body: bytes) -> Verdict | bytes:
        import requests

        try:
            response = self._connect().post(
                self._where, data=gzip.compress(body, 1), timeout=TIMEOUT_SECONDS, allow_redirects=False,
                headers={**_HEADERS, "Content-Type": self._kind})
        except requests.RequestException as error:
            return Verdict(Outcome.LATER, f"{redact(self._where)} does not answer ({_short(error)})")
        status = response.status_code
        if 200 <= status < 300:
            return bytes(response.content or b"")
        said = redact(" ".join((response.text or "")[:200].split()), 120)
        reason = f"{redact(self._where)} answered {status} {response.reason or ''}".rstrip()
        reason += f" ({said})" if said else ""
        if status in _RETRYABLE:
            return Verdict(Outcome.LATER, reason, _retry_after(response.headers.get("Retry-After")))
        if status in (401, 403):
            reason += "; check LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST"
        return Verdict(Outcome.REFUSED, reason)


class LangfuseSink(_Http):
    """Sends batches of ended spans to the server's OTLP endpoint."""

    def __init__(self, keys: Keys, count: Count, **options: Any) -> None:
        super().__init__(NAME, keys, "/api/public/otel/v1/traces", "application/x-protobuf", count, **options)
        self.scores = ScoreSink(keys)

    def prepare(self) -> None:
        super().prepare()
        with loading:
            from opentelemetry.exporter.otlp.proto.common import trace_encoder  # noqa: F401 - not in the first send

    def send(self, batch: list[Any]) -> Verdict:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        answer = self._post(encode_spans(batch).SerializePartialToString())
        return Verdict(Outcome.SENT) if isinstance(answer, bytes) else answer

    def score(self, trace_id: str, span_id: str, name: str, passed: bool, comment: str | None = None) -> None:
        """Attach a verdict to a span; the id follows from what it is about, so that a retry makes no second one."""
        identity = str(uuid.uuid5(_SCORES, f"{trace_id}:{span_id}:{name}"))
        body = {"id": identity, "traceId": trace_id, "observationId": span_id, "name": name,
                "value": 1 if passed else 0, "dataType": "BOOLEAN"}
        if comment:
            body["comment"] = comment
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        self.scores.submit({"id": identity, "type": "score-create", "timestamp": stamp, "body": body})


class ScoreSink(_Http):
    """Sends scores, best effort: they are not spans and are not counted with them."""

    def __init__(self, keys: Keys, **options: Any) -> None:
        super().__init__("langfuse-scores", keys, "/api/public/ingestion", "application/json",
                         lambda *_: None, **options)

    def send(self, batch: list[Any]) -> Verdict:
        answer = self._post(json.dumps({"batch": batch}).encode())
        return Verdict(Outcome.SENT) if isinstance(answer, bytes) else answer
