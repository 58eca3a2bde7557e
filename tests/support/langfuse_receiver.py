"""A labelled double of a Langfuse server: decodes the OTLP it gets and applies the server's published mapping.

The mapping is that of `OtelIngestionProcessor.ts` and `ObservationTypeMapper.ts` of the server's v4 source, for the
keys that a client may send: first non-empty key wins. It proves what a server of that version would store; it is no
server, and is never shipped.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.otlp_receiver import OtlpReceiver, Received

PUBLIC, SECRET = "pk-lf-test", "sk-lf-test-secret"
_GENERATIONS = ("chat", "completion", "text_completion", "generate_content", "generate")
_OPERATIONS = {
    **dict.fromkeys(_GENERATIONS, "GENERATION"),
    "embeddings": "EMBEDDING",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "execute_tool": "TOOL",
}
_ENVIRONMENTS = ("langfuse.environment", "deployment.environment.name", "deployment.environment")


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
    parameters: dict[str, Any]
    usage: dict[str, int]
    cost: dict[str, float]
    level: str
    status_message: str | None
    input: Any
    output: Any
    completion_start: str | None
    prompt: tuple[str | None, int | None]
    environment: str
    version: str | None


@dataclass
class LangfuseReceiver(OtlpReceiver):
    """Refuses (401) what does not carry the keys, and (400) what asks for an ingestion version it does not know."""

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    score_posts: int = 0
    refuse_scores: bool = False  # accepted with 207, each with an error

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
            return self._take_scores(headers, body)
        if path != "/api/public/otel/v1/traces":
            return 404, b"no such route"
        if headers.get("x-langfuse-ingestion-version") != "4":
            return 400, b"unknown ingestion version"
        return super().take(path, headers, body)

    def _take_scores(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """This route's body goes through the server's JSON parser, which does not decompress."""
        try:
            events = json.loads(body)["batch"]
        except ValueError:
            return 400, b"Invalid JSON"
        with self._changed:
            self.score_posts += len(events)
            if not self.refuse_scores:
                self.scores.update({event["body"]["id"]: event["body"] for event in events})  # an id is stored once
            self._changed.notify_all()
        answers = [{"id": event["id"], "status": 400 if self.refuse_scores else 201} for event in events]
        if self.refuse_scores:
            errors = [{**one, "message": "Invalid request data", "error": "no such trace"} for one in answers]
            return 207, json.dumps({"successes": [], "errors": errors}).encode()
        return 207, json.dumps({"successes": answers, "errors": []}).encode()


def observe(span: Received) -> Observation:
    """The published mapping."""
    given, resource = span.attributes, span.resource

    def first(*keys: str) -> Any:
        return next((given[key] for key in keys if given.get(key) not in (None, "")), None)

    operation = given.get("gen_ai.operation.name")
    model = first(
        "langfuse.observation.model.name", "gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "model"
    )
    kind = first("langfuse.observation.type")
    kind = kind.upper() if kind else _OPERATIONS.get(operation or "", "GENERATION" if model else "SPAN")
    details = first("langfuse.observation.usage_details")
    usage = json.loads(details) if details else _generic_usage(given)
    cost = _cost(given)
    if operation in ("invoke_agent", "agent_step"):
        model, usage, cost = None, {}, {}
    prompt = (
        first("langfuse.observation.prompt.name", "langfuse.prompt.name"),
        first("langfuse.observation.prompt.version", "langfuse.prompt.version"),
    )
    level = first("langfuse.observation.level") or ("ERROR" if span.status == 2 else "DEFAULT")
    environment = next(
        (where[key] for key in _ENVIRONMENTS for where in (given, resource) if where.get(key)), "default"
    )
    taken, made = _contents(given)
    return Observation(
        id=span.span_id,
        trace_id=span.trace_id,
        parent_id=span.parent_id,
        name=span.name,
        type=kind,
        user=first("langfuse.user.id", "user.id"),
        session=first("langfuse.session.id", "session.id", "gen_ai.conversation.id"),
        tags=list(first("langfuse.trace.tags", "langfuse.tags", "tag.tags") or []),
        trace_name=first("langfuse.trace.name"),
        model=model,
        parameters=_parameters(given),
        usage=usage,
        cost=cost,
        level=level,
        status_message=first("langfuse.observation.status_message") or span.status_message or None,
        input=taken,
        output=made,
        completion_start=first("langfuse.observation.completion_start_time"),
        prompt=prompt if kind == "GENERATION" else (None, None),
        environment=environment,
        version=first("langfuse.version") or resource.get("service.version"),
    )


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    explicit = given.get("langfuse.observation.model.parameters")
    if explicit:
        return dict(json.loads(explicit))
    return {
        key.removeprefix("gen_ai.request."): value
        for key, value in given.items()
        if key.startswith("gen_ai.request.") and key != "gen_ai.request.model"
    }


def _contents(given: dict[str, Any]) -> tuple[Any, Any]:
    """Input and output. Every key under `gen_ai.prompt` is taken for a part of the input, one that names it too."""
    pairs = [
        tuple(given.get("langfuse.observation." + side) for side in ("input", "output")),
        tuple(
            {key: value for key, value in given.items() if key.startswith(prefix)} or None
            for prefix in ("gen_ai.prompt", "gen_ai.completion")
        ),
        (given.get("gen_ai.input.messages"), given.get("gen_ai.output.messages")),
    ]
    return next((pair for pair in pairs if pair != (None, None)), (None, None))


def _cost(given: dict[str, Any]) -> dict[str, float]:
    details = given.get("langfuse.observation.cost_details")
    if details:
        return dict(json.loads(details))
    total = next(
        (given[key] for key in ("gen_ai.usage.cost", "llm.cost.total") if given.get(key) not in (None, "")), None
    )
    return {} if total is None else {"total": total}


def _generic_usage(given: dict[str, Any]) -> dict[str, int]:
    """What becomes of `gen_ai.usage.*` where no usage_details are given; keys it does not know become parts too."""
    found = {
        key.removeprefix("gen_ai.usage."): value
        for key, value in given.items()
        if key.startswith("gen_ai.usage.") and key != "gen_ai.usage.cost"
    }
    read, write = found.pop("cache_read.input_tokens", None), found.pop("cache_creation.input_tokens", None)
    thought = found.pop("reasoning.output_tokens", None)
    taken, made, total = (found.pop(key, None) for key in ("input_tokens", "output_tokens", "total_tokens"))
    if taken is not None:
        found["input"] = max(0, taken - (read or 0) - (write or 0))
    if made is not None:
        found["output"] = max(0, made - (thought or 0))
    known = {
        "total": total,
        "input_cached_tokens": read,
        "input_cache_creation": write,
        "output_reasoning_tokens": thought,
    }
    return {**found, **{key: value for key, value in known.items() if value is not None}}
