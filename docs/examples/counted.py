"""What the examples print at their end: what this host has counted, all its processes together."""

from __future__ import annotations

import hypertool


def show() -> None:
    """One line for each series that an example adds to."""
    totals = hypertool.totals()
    print("\ncounted:")
    for name, counts in (
        ("calls", totals.requests),
        ("calls of unknown usage", totals.usage_missing),
        ("tokens", totals.tokens),
    ):
        for labels, value in sorted(counts.items()):
            if value:
                print(f"  {value:>8} {name:<23} {' '.join(labels)}")
    for (persona, model), dollars in sorted(totals.cost_usd.items()):
        print(f"  {dollars:>8.6f} {'US dollars':<23} {persona} {model}")
