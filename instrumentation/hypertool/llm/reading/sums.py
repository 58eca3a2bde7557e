"""What several answers of one call are together."""

from __future__ import annotations

from . import billing
from .usage import Missing, Reading


def added(readings: list[Reading]) -> Reading:
    """The sum of readings; it is known where all of them are. Its `parts` have a price each, it has none itself
    where their models, tiers or surcharges differ.
    """
    if len(readings) == 1:
        return readings[0]
    usages = [one.usage for one in readings]
    missing = next((one for one in usages if isinstance(one, Missing)), None)
    last = readings[-1]
    models = {one.model for one in readings if one.model}
    bills = [one.billing for one in readings]
    terms = {(one.service_tier, one.billing.percent if one.billing is not None else 100) for one in readings}
    return Reading(
        missing or sum(usages[1:], usages[0]),
        last.model,
        last.id,
        tuple(reason for one in readings for reason in one.finish_reasons),
        last.provider,
        "mixed" if len(models) > 1 or len(terms) > 1 else last.service_tier,
        billing.added(bills) if missing is None else None,
        tuple(part for one in readings for part in one.parts or (one,)) if missing is None else (),
    )
