"""`hypertool.totals`: what this host has counted, to read from a program."""

from __future__ import annotations

from ..store.store import HostState, Store
from .collector import get_persona_metrics


def totals() -> HostState:
    """Everything the host has counted, this process included; the same sums as on its metrics endpoint.

    Counters are mappings from label values, in the order of the metric's labels, to whole numbers: `tokens`
    (persona, chatmode, model), `token_kinds` (persona, model, kind), `requests` (persona, model, outcome),
    `usage_missing` (persona, model, reason), `switches`, `gates`, `stages`. `cost_usd` (persona, model) is in US
    dollars. `budgets` has limit and remaining tokens of each persona.

    Raises StoreUnavailable where the store cannot be read.
    """
    metrics = get_persona_metrics()
    metrics.flush()
    return (metrics.core.store or Store.locate()).read(metrics.catalogue)
