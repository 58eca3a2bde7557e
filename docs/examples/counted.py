"""What the examples print at their end: what this host's store has counted, all its processes together."""

from __future__ import annotations

from hypertool import get_persona_metrics
from hypertool.store.store import Store


def show() -> None:
    """One line for each series that an example adds to."""
    get_persona_metrics().flush()
    totals = Store.locate().merge().totals
    named = {"tok": "tokens", "llm": "calls", "miss": "calls of unknown usage", "usd": "nano-dollars"}
    print("\ncounted:")
    for (metric, *labels), value in sorted(totals.counters.items()):
        if metric in named and value:
            print(f"  {value:>8} {named[metric]:<23} {' '.join(labels)}")
