"""`hypertool usage`: the coding agents' usage, from the ledger."""

from __future__ import annotations

import argparse
import os
import re
import time

from ..agents.ledger import location, tending
from ..agents.ledger.ledger import Ledger
from ..agents.ledger.usage import Row, total, usage
from ..domain.personas import load_catalogue
from .output import UsageProblem, listen, print_json, print_table, say

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def show(arguments: argparse.Namespace) -> int:
    """Tokens, calls and cost by persona, agent, model, day, workspace or session."""
    seconds = _length(arguments.since)
    listen()  # models without a price have an empty cost
    rows: list[Row] = []
    if arguments.read or location.exists():
        ledger = Ledger(load_catalogue())
        if arguments.read:
            from ..agents.changes import changed
            from ..agents.collecting import collect

            home = os.path.expanduser("~")
            collect(ledger, changed(home, os.environ, 0.0, {}), home, os.environ)
        tending.price(ledger)
        rows = usage(ledger, time.time() - seconds, arguments.by)
        ledger.close()
    sums = total(rows)
    if arguments.json:
        print_json(
            {
                "since": arguments.since,
                "by": arguments.by,
                "rows": [_as_json(arguments.by, row) for row in rows],
                "total": _as_json("total", sums),
            }
        )
        return 0
    if not rows:
        say(
            f"no agent has used anything in the last {arguments.since}; `hypertool agents` shows which agents are "
            "installed and whether they are counted"
        )
        return 0
    print_table(
        (arguments.by, "calls", "input", "cache read", "cache write", "output", "reasoning", "tokens", "USD"),
        [
            (row.name, row.calls, *row[2:7], row.total, f"{row.nano_usd / 1e9:.4f}" if row.nano_usd else "")
            for row in ([*rows, sums] if len(rows) > 1 else rows)
        ],
    )
    return 0


def _as_json(by: str, row: Row) -> dict[str, object]:
    document: dict[str, object] = {} if by == "total" else {by: row.name}
    document.update(
        calls=row.calls,
        input=row.input,
        cache_read=row.cache_read,
        cache_write=row.cache_write,
        output=row.output,
        reasoning=row.reasoning,
        tokens=row.total,
        cost_usd=row.nano_usd / 1e9,
    )
    return document


def _length(since: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhdw])", since)
    if found is None:
        raise UsageProblem(f"--since {since!r:.40}: expected a number and one of s, m, h, d, w, for example 7d or 12h")
    return int(found[1]) * float(_SECONDS[found[2]])
