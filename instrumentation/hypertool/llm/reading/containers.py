"""Containers of several responses: finds each response once, and adds them up.

| container | its responses |
|---|---|
| a list or tuple | every response; chunks of a collected stream are read as a stream |
| openai-agents `RunResult` | `raw_responses` |
| pydantic-ai `AgentRunResult` | the model's answers among its new messages |
| LangGraph state, AutoGen `TaskResult` | the answers after the last human message |
| CrewAI's `CrewOutput`, `LiteAgentOutput` | `token_usage`, `usage_metrics` |
| LlamaIndex responses, LangChain's `include_raw`, one line of a batch's results | the response they wrap |
| instructor's models and lists | `_raw_response` |
| Haystack's `replies`, Semantic Kernel's messages | `meta`, `inner_content` or `metadata` |
| smolagents' and Agno's results | `token_usage`, `metrics` |
| Strands' `AgentResult` | the last of its agent's invocations |
| batches of Gemini, Mistral and xAI | `inlinedResponses`, `outputs`, `results` |
| Cloudflare, Oracle, SAP, Kinetica | `result`, `chatResponse`, `final_result` or `orchestration_result`, `data` |
| raw responses of OpenAI's and Anthropic's SDKs | their body, if already read |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .fields import text
from .shapes.frameworks import strands
from .sums import added
from .usage import NO_USAGE, UNRECOGNISED, Reading
from .view import view

Extract = Callable[[Any], Reading]
Inside = Callable[[Any], Iterable[Any]]

PARTS_LIMIT = 10_000
_SCALARS = (str, bytes, bytearray, int, float, type(None))
_SINGLE = (
    *("raw", "_raw_response", "result", "message", "raw_response", "response", "body"),
    *("inner_content", "chatResponse", "chat_response", "final_result", "orchestration_result", "dest"),
)
# Where a framework's message or result has a usage record, if it does not hold the response itself.
_RECORDS = (("token_usage", "input_tokens"), ("metrics", "input_tokens"))


def total(parts: Iterable[Any], extract: Extract, by_id: bool = True) -> Reading:
    """The sum of the readings of `parts`: each object once and, if `by_id`, each id once; skips unrecognised parts."""
    readings: list[Reading] = []
    ids: set[str] = set()
    objects: set[int] = set()
    unread = False
    for part in parts:
        if isinstance(part, _SCALARS) or id(part) in objects:
            continue
        objects.add(id(part))
        found = extract(part)
        if found.usage is UNRECOGNISED:
            unread = True
            continue
        # A LangChain message has its own id besides the provider's.
        key = text(view(part).get("id")) or found.id if by_id else None
        if key is not None:
            if key in ids:
                continue
            ids.add(key)
        readings.append(found)
    if not readings:
        return Reading(UNRECOGNISED if unread or not objects else NO_USAGE)
    return added(readings)


def inside(fields: Mapping[str, Any]) -> Iterable[Any] | None:
    """The responses in a mapping that is not a response itself, or None if it is not a known container."""
    get = fields.get
    answers = get("raw_responses")
    if isinstance(answers, (list, tuple)):
        return answers
    record = get("token_usage")
    if record is None and "agent_role" in fields:
        record = get("usage_metrics")
    if record is not None and ("tasks_output" in fields or "agent_role" in fields):
        return [{"usage": record}]
    messages = get("messages")
    if isinstance(messages, (list, tuple)) and messages:
        return _after_the_question(messages)
    if "current_agent_name" in fields and get("tool_calls"):
        return ()  # LlamaIndex's agent keeps the last of several answers only
    runs = view(get("metrics")).get("agent_invocations")
    if isinstance(runs, (list, tuple)):
        return [strands(view(run).get("usage")) for run in runs[-1:]]
    for name in _SINGLE:
        inner = get(name)
        if inner is not None and not isinstance(inner, _SCALARS):
            return [inner]
    batch = _batch(fields)
    if batch is not None:
        return batch
    if view(get("data")):
        return [fields["data"]]
    replies = get("replies")
    if isinstance(replies, (list, tuple)):
        return [one.get("meta") or one.get("_meta") for one in map(view, replies)]
    if "usage" in view(get("metadata")):
        return [fields["metadata"]]
    for name, key in _RECORDS:
        if key in view(get(name)):
            return [{"usage": fields[name]}]
    return None


def _batch(fields: Mapping[str, Any]) -> Iterable[Any] | None:
    """The responses of a finished batch, or None if it is not one."""
    inlined = fields.get("inlinedResponses") or fields.get("inlined_responses")
    inlined = view(inlined).get("inlinedResponses") or inlined
    if isinstance(inlined, (list, tuple)):  # Gemini
        return [view(one).get("response") for one in inlined]
    outputs = fields.get("outputs")
    if fields.get("object") == "batch" and isinstance(outputs, (list, tuple)):  # Mistral
        return [view(view(one).get("response")).get("body") for one in outputs]
    results = fields.get("results")
    if isinstance(results, (list, tuple)) and results and "batch_result" in view(results[0]):  # xAI
        answers = [view(view(view(one).get("batch_result")).get("response")) for one in results]
        return [answer for one in answers for answer in one.values()]
    return None


def pydantic_ai_run(result: Any) -> Iterable[Any]:
    """The answers of a run: its messages from the first new one on."""
    fields = view(result)
    messages = view(fields.get("_state")).get("message_history") or ()
    new = fields.get("_new_message_index")
    return [one for one in messages[new if type(new) is int else 0 :] if "usage" in view(one)]


def read_body(response: Any) -> Iterable[Any]:
    """The body of an SDK's raw response, if already read and not an event stream; never consumes it."""
    http = getattr(response, "http_response", None)
    content = getattr(http, "_content", None)
    if not content:
        return ()
    found = json.loads(content)
    return [found] if isinstance(found, dict) else found


def cohere_data(response: Any) -> Iterable[Any]:
    """The parsed data of Cohere's raw response."""
    return [response.data]


# (top package, class) -> the function that returns its responses.
CLASSES: dict[tuple[str, str], Inside] = {
    ("pydantic_ai", "AgentRunResult"): pydantic_ai_run,
    ("openai", "BaseAPIResponse"): read_body,
    ("openai", "LegacyAPIResponse"): read_body,
    ("anthropic", "BaseAPIResponse"): read_body,
    ("anthropic", "LegacyAPIResponse"): read_body,
    ("groq", "BaseAPIResponse"): read_body,
    ("cerebras", "BaseAPIResponse"): read_body,
    ("together", "BaseAPIResponse"): read_body,
    ("cohere", "BaseHttpResponse"): cohere_data,
    ("cohere", "HttpResponse"): cohere_data,
}


def _after_the_question(messages: Iterable[Any]) -> list[Any]:
    """The answers after the last human message; earlier answers belong to earlier calls."""
    found: list[Any] = []
    for message in messages:
        fields = view(message)
        kind = text(fields.get("type")) or text(fields.get("role"))
        if kind in ("human", "user", "HumanMessageChunk"):
            found.clear()
        elif "usage_metadata" in fields and kind in ("ai", "assistant", "AIMessageChunk"):
            found.append(message)
        elif fields.get("models_usage") is not None:
            found.append({"usage": fields["models_usage"], "id": fields.get("id")})
    return found
