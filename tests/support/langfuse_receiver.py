"""A labelled double of a Langfuse server: decodes the OTLP it gets and applies the server's published mapping.

The mapping is that of `OtelIngestionProcessor.ts` and `ObservationTypeMapper.ts` of the server's v4 source, for the
keys that a client may send: first non-empty key wins. It proves what a server of that version would store; it is no
server, and is never shipped.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.otlp_receiver import OtlpReceiver, Received

PUBLIC, SECRET = "pk-lf-test", "sk-lf-test-secret"
_GENERATIONS = ("chat", "completion", "text_completion", "generate_content", "generate")
_OPERATIONS = {**dict.fromkeys(_GENERATIONS, "GENERATION"), "embeddings": "EMBEDDING", "invoke_agent": "AGENT",
               "create_agent": "AGENT", "execute_tool": "TOOL"}


@dataclass
class Observation:
    """One observation as the server stores it."""

    id: str
    trace_id: str
    parent_id: str
    name: str
    type: str
    user: str | None
    session: str | None
    tags: list[str]
    trace_name: str | None
    model: str | None
    usage: dict[str, int]
    cost: dict[str, float]
    level: str
    input: Any
    output: Any
    completion_start: str | None


@dataclass
class LangfuseReceiver(OtlpReceiver):
    """Refuses (401) what does not carry the keys, and (400) what asks for an ingestion version it does not know."""

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    score_posts: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to send here."""
        return {"LANGFUSE_PUBLIC_KEY": PUBLIC, "LANGFUSE_SECRET_KEY": SECRET, "LANGFUSE_HOST": self.url}

    @property
    def observations(self) -> list[Observation]:
        """Everything received so far."""
        return [observe(span) for span in self.spans]

    def observation(self, name: str) -> Observation:
        """The one of that name."""
        return observe(self.by_name(name))

    def generations(self) -> list[Observation]:
        """What costs."""
        return [one for one in self.observations if one.type == "GENERATION"]

    def wait_for_scores(self, scores: int, seconds: float = 10.0) -> list[dict[str, Any]]:
        """The scores, once there are that many."""
        self._until(lambda: len(self.scores) >= scores, seconds, f"{scores} scores (have {len(self.scores)})")
        return list(self.scores.values())

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        wanted = "Basic " + base64.b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()
        if headers.get("authorization") != wanted:
            with self._changed:
                self.requests.append((path, headers))
                self._changed.notify_all()
            return 401, b'{"message":"Invalid credentials"}'
        if path == "/api/public/ingestion":
            events = json.loads(gzip.decompress(body))["batch"]
            with self._changed:
                self.score_posts += len(events)
                self.scores.update({event["body"]["id"]: event["body"] for event in events})  # an id is stored once
                self._changed.notify_all()
            stored = [{"id": event["id"], "status": 201} for event in events]
            return 207, json.dumps({"successes": stored, "errors": []}).encode()
        if path != "/api/public/otel/v1/traces":
            return 404, b"no such route"
        if headers.get("x-langfuse-ingestion-version") != "4":
            return 400, b"unknown ingestion version"
        return super().take(path, headers, body)


def observe(span: Received) -> Observation:
    """The published mapping."""
    given = span.attributes

    def first(*keys: str) -> Any:
        return next((given[key] for key in keys if given.get(key) not in (None, "")), None)

    operation = given.get("gen_ai.operation.name")
    model = first("langfuse.observation.model.name", "gen_ai.response.model", "gen_ai.request.model")
    kind = first("langfuse.observation.type")
    kind = kind.upper() if kind else _OPERATIONS.get(operation or "", "GENERATION" if model else "SPAN")
    details = first("langfuse.observation.usage_details")
    usage = json.loads(details) if details else _generic_usage(given)
    costs = first("langfuse.observation.cost_details")
    cost = json.loads(costs) if costs else {}
    if operation == "invoke_agent":
        model, usage, cost = None, {}, {}
    level = first("langfuse.observation.level") or ("ERROR" if span.status == 2 else "DEFAULT")
    return Observation(
        span.span_id, span.trace_id, span.parent_id, span.name, kind, first("langfuse.user.id", "user.id"),
        first("langfuse.session.id", "session.id", "gen_ai.conversation.id"),
        list(first("langfuse.trace.tags", "langfuse.tags") or []), first("langfuse.trace.name"), model, usage, cost,
        level,
        first("langfuse.observation.input", "gen_ai.input.messages"),
        first("langfuse.observation.output", "gen_ai.output.messages"),
        first("langfuse.observation.completion_start_time"))


def _generic_usage(given: dict[str, Any]) -> dict[str, int]:
    found = {key.removeprefix("gen_ai.usage."): value for key, value in given.items()
             if key.startswith("gen_ai.usage.") and key != "gen_ai.usage.cost"}
    if "input_tokens" not in found:
        return {}
    read, write = found.pop("cache_read.input_tokens", 0), found.pop("cache_creation.input_tokens", 0)
    usage = {"input": max(0, found.pop("input_tokens") - read - write), "output": found.pop("output_tokens", 0)}
    return {**usage, "input_cached_tokens": read, "input_cache_creation": write, **found}
