"""What several answers of one call are together."""

from __future__ import annotations

from .usage import Missing, Reading


def added(readings: list[Reading]) -> Reading:
    """The sum of readings; it is known where all of them are. Answers of several models have no one price."""
    if len(readings) == 1:
        return readings[0]
    usages = [one.usage for one in readings]
    missing = next((one for one in usages if isinstance(one, Missing)), None)
    last = readings[-1]
    models = {one.model for one in readings if one.model}
    tiers = {one.service_tier for one in readings}
    return Reading(
        missing or sum(usages[1:], usages[0]),
        last.model,
        last.id,
        tuple(reason for one in readings for reason in one.finish_reasons),
        last.provider,
        "mixed" if len(models) > 1 or len(tiers) > 1 else last.service_tier,
    )
