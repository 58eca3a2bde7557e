"""What an LLM span says, after the OpenTelemetry GenAI conventions and Langfuse's mapping (both as of 2026-06)."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..redaction import redact
from ..span_values import fit_all
from .call_metadata import as_attributes
from .record import CallRecord

CONTENT_LIMIT = 8_000
_NAME_LIMIT = 200
_CAPTURING = frozenset({"span_only", "span_and_event", "true", "1"})
_PARAMETERS = {"temperature": float, "top_p": float, "max_tokens": int, "stream": bool}


@functools.cache
def captures_content() -> bool:
    """Whether prompts and completions were asked for, which they are not by default; read once."""
    asked = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "")
    return asked.strip().lower() in _CAPTURING


def at_start(model: str, provider: str, persona: str, chatmode: str, run_id: str | None, prompt: Any,
             arguments: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is known before the call; samplers decide by it."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model[:_NAME_LIMIT],
        "gen_ai.agent.name": persona, "hypertool.chatmode": chatmode[:_NAME_LIMIT],
    }
    if run_id is not None:
        attributes["gen_ai.conversation.id"] = run_id
    for name, kind in _PARAMETERS.items():
        value = arguments.get(name)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:  # OTLP integers have 64 bits
            continue
        if type(value) is kind or (kind is float and type(value) is int):
            attributes["gen_ai.request." + name] = value
    if metadata:
        attributes.update(fit_all(as_attributes(metadata)))
    if isinstance(prompt, str):
        digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        attributes["hypertool.prompt.fingerprint"] = f"{len(prompt)}:{digest}"
    if prompt is not None and captures_content():
        attributes["gen_ai.input.messages"] = content("user", prompt)
    return attributes


def at_end(record: CallRecord, langfuse: bool, started: float) -> dict[str, Any]:
    """What the record says; `started` is the wall time of the start, in seconds since the epoch."""
    attributes: dict[str, Any] = {"hypertool.outcome": record.outcome}
    reading = record.reading
    if reading is not None:
        if reading.model:
            attributes["gen_ai.response.model"] = reading.model[:_NAME_LIMIT]
        if reading.id:
            attributes["gen_ai.response.id"] = reading.id[:_NAME_LIMIT]
        if reading.finish_reasons:
            attributes["gen_ai.response.finish_reasons"] = [
                reason[:_NAME_LIMIT] for reason in reading.finish_reasons]
    usage = record.counted
    if usage is not None:
        attributes.update(usage.gen_ai())
        if usage.estimated:
            attributes["hypertool.usage.estimated"] = True
    elif record.usage is not None:
        attributes["hypertool.usage.missing"] = record.usage[0]
    if record.nano_usd is not None:
        attributes["hypertool.cost_usd"] = record.nano_usd / 1e9
    if record.first_chunk is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_chunk
    if langfuse:
        attributes["langfuse.observation.type"] = "generation"
        if usage is not None:
            attributes["langfuse.observation.usage_details"] = json.dumps(usage.usage_details())
        if record.nano_usd is not None:  # any cost at all turns the server's own price table off
            attributes["langfuse.observation.cost_details"] = json.dumps({"total": record.nano_usd / 1e9})
        if record.first_chunk is not None:
            moment = datetime.fromtimestamp(started + record.first_chunk, timezone.utc)
            attributes["langfuse.observation.completion_start_time"] = moment.isoformat()
    return attributes


def content(role: str, value: Any) -> str:
    """A prompt or completion as the convention's message list, redacted and capped."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": redact(text, CONTENT_LIMIT)}]}])
