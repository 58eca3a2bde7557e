"""The attributes of an LLM span, by the OpenTelemetry GenAI conventions and Langfuse's mapping (both as of 2026-06)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...runtime.redaction import redact_id, redact_name, redact_names
from ...spans.values import fit_all
from ..reading.usage import Missing, Usage
from ..record import CallRecord
from . import messages as content
from .fingerprint import fingerprint
from .metadata import as_attributes

if TYPE_CHECKING:
    from ...recording.runs import Run

_PARAMETERS = {"temperature": float, "top_p": float, "max_tokens": int, "stream": bool}
OTHER_PROVIDER = "_OTHER"


def at_start(
    model: str,
    provider: str | None,
    persona: str,
    chatmode: str,
    run: Run | None,
    prompt: Any,
    arguments: Mapping[str, Any],
    metadata: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The attributes known before the call; samplers decide by them."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": redact_name(model),
        "gen_ai.agent.name": persona,
        "hypertool.chatmode": redact_name(chatmode),
    }
    if provider is not None:
        attributes["gen_ai.provider.name"] = redact_name(provider)
    if run is not None:
        attributes["gen_ai.conversation.id"] = run.id
    for name, kind in _PARAMETERS.items() if arguments else ():
        value = arguments.get(name)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:  # OTLP integers have 64 bits
            continue
        if type(value) is kind or (kind is float and type(value) is int):
            attributes["gen_ai.request." + name] = value
    if metadata:
        attributes.update(fit_all(as_attributes(metadata)))
    known = fingerprint(prompt)
    if known is not None:
        attributes["hypertool.prompt.fingerprint"] = known
    if content.captures():
        if prompt is not None:
            attributes["gen_ai.input.messages"] = content.input_messages(prompt)
        instructions = content.system_instructions(arguments)
        if instructions is not None:
            attributes["gen_ai.system_instructions"] = instructions
    return attributes


def at_end(record: CallRecord, provider: str | None) -> dict[str, Any]:
    """The attributes from the record; `success` is implied and omitted (an attribute costs about 1 us in an SDK span).

    `provider` is the provider named at the start; without it, the response's provider is added.
    """
    usage, reading = record.usage, record.reading
    attributes: dict[str, Any] = usage.gen_ai() if isinstance(usage, Usage) else {}
    if record.outcome != "success":
        attributes["hypertool.outcome"] = record.outcome
    if provider is None:
        attributes["gen_ai.provider.name"] = (reading.provider if reading is not None else None) or OTHER_PROVIDER
    if reading is not None:
        if reading.model:
            attributes["gen_ai.response.model"] = redact_name(reading.model)
        if reading.id:
            attributes["gen_ai.response.id"] = redact_id(reading.id)
        if reading.finish_reasons:
            attributes["gen_ai.response.finish_reasons"] = redact_names(reading.finish_reasons)
    if isinstance(usage, Usage):
        if usage.estimated:
            attributes["hypertool.usage.estimated"] = True
    elif usage is not None:
        attributes["hypertool.usage.missing"] = usage.reason
    if record.nano_usd is not None:
        attributes["hypertool.cost_usd"] = record.nano_usd / 1e9
        billing = reading.billing if reading is not None else None
        if billing is not None and billing.stated_nano_usd is not None:
            attributes["hypertool.cost_stated"] = True  # by the provider, not from a price table
    if record.first_chunk is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_chunk
    return attributes


def for_langfuse(
    usage: Usage | Missing | None, nano_usd: int | None, first_chunk: float | None = None
) -> dict[str, Any]:
    """The Langfuse attributes of a call; `first_chunk` is the time of the first chunk, in seconds since the epoch.

    The bound call waits for its sink, so it holds only the values that it needs, not the whole record.
    """
    attributes: dict[str, Any] = {"langfuse.observation.type": "generation"}
    if isinstance(usage, Usage):
        attributes["langfuse.observation.usage_details"] = _details(usage)
    if nano_usd is not None:  # any cost turns off the server's own price table
        attributes["langfuse.observation.cost_details"] = f'{{"total": {nano_usd / 1e9!r}}}'
    if first_chunk is not None:
        moment = datetime.fromtimestamp(first_chunk, timezone.utc)
        attributes["langfuse.observation.completion_start_time"] = moment.isoformat()
    return attributes


def agent_for_langfuse() -> dict[str, Any]:
    """The Langfuse attributes of a call that turned out to enclose others."""
    return {"langfuse.observation.type": "agent"}


def _details(usage: Usage) -> str:
    """`usage.usage_details()` as JSON, at a fifth of the cost of a JSON encoder."""
    return "{" + ", ".join([f'"{part}": {tokens}' for part, tokens in usage.usage_details().items()]) + "}"
