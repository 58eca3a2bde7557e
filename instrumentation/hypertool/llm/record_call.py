"""`hypertool.record_llm_call`: counts an LLM call that was made and measured elsewhere, like an observed call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..domain.checks import duration
from ..domain.instruments import LLM_OUTCOMES
from ..domain.personas import UNKNOWN
from ..metrics.collector import PersonaMetricsCollector, get_persona_metrics
from ..recording.ambient import RUN, current_place
from .reading.records import read_usage
from .reading.usage import UNRECOGNISED, Missing, Reading, Usage
from .reading.view import view
from .record import Meter, make_record

if TYPE_CHECKING:
    from ..recording.runs import Run

_OUTCOMES = tuple(outcome for outcome in LLM_OUTCOMES if outcome != "blocked")
_shared_meter: Meter | None = None


def record_llm_call(
    persona: str | None,
    model: str,
    usage: object,
    seconds: float | None,
    outcome: str = "success",
    *,
    chatmode: str | None = None,
    first_chunk_seconds: float | None = None,
    service_tier: str | None = None,
    metrics: PersonaMetricsCollector | None = None,
) -> None:
    """Count one LLM call: tokens by kind, cost, request and duration; debit the persona's budget. Makes no span.

    `usage` is a `hypertool.llm.Usage`, a provider's own usage record (a mapping, or its SDK's object, such as
    `response.usage`), or None if it is unknown: the call then counts as one without usage (if `outcome` is "success").
    `seconds` None records no duration. `outcome` is "success", "error" or "cancelled". If `persona` or `chatmode` is
    None, the context's applies, as for observed calls.

    Raises ValueError or TypeError for an unknown persona or an impossible duration, outcome or usage, before it counts
    anything.
    """
    if outcome not in _OUTCOMES:
        raise ValueError(f"outcome {outcome!r:.60}, expected one of {', '.join(_OUTCOMES)}")
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be a string that is not empty, not {model!r:.60}")
    found = None if usage is None else read_usage(usage)
    if isinstance(found, Missing) and not isinstance(usage, Mapping) and (found == UNRECOGNISED or not view(usage)):
        raise TypeError(
            f"usage must be a Usage, a provider's usage record or None, not {type(usage).__name__} ({usage!r:.60})"
        )
    took = None if seconds is None else duration(seconds)
    first = None if first_chunk_seconds is None else duration(first_chunk_seconds)
    collector = metrics or get_persona_metrics()
    active, mode = current_place()
    count_call(
        collector,
        persona or active,
        chatmode or mode,
        model,
        found,
        took,
        outcome,
        first_chunk=first,
        service_tier=service_tier,
        run=RUN.get(),
    )


def count_call(
    collector: PersonaMetricsCollector,
    persona: str | None,
    chatmode: str | None,
    model: str,
    usage: Usage | Missing | None,
    seconds: float | None,
    outcome: str,
    *,
    first_chunk: float | None = None,
    service_tier: str | None = None,
    response_model: str | None = None,
    run: Run | None = None,
) -> None:
    """Count a call whose values are already checked; raises ValueError only for an unknown persona."""
    known = collector.catalogue.for_call(persona or UNKNOWN)
    name = known.name if known is not None else UNKNOWN
    reading: Reading | None = Reading(usage or Missing("no_usage"), response_model or model, service_tier=service_tier)
    if outcome != "success" and not isinstance(usage, Usage):
        reading = None  # an unsuccessful call without usage is not missing usage
    meter = _meter_of(collector)
    record = make_record(name, chatmode or "default", model, outcome, seconds, reading, first_chunk)
    meter.write(record, run, None)
    meter.publish()


def _meter_of(collector: PersonaMetricsCollector) -> Meter:
    """The meter of `collector`; the process's collector keeps its meter, which remembers the cells by label set."""
    global _shared_meter
    if collector is not get_persona_metrics():
        return Meter(collector)
    if _shared_meter is None:
        _shared_meter = Meter(collector)
    return _shared_meter
