"""The agents' usage, summed from the ledger by persona, agent, model, day, workspace or session."""

from __future__ import annotations

from ...runtime.light_typing import NamedTuple
from .ledger import Ledger

BY = ("persona", "agent", "model", "day", "workspace", "session")
_SUMS = "sum(input), sum(cache_read), sum(cache_write), sum(output), sum(reasoning), sum(nano_usd)"


class Row(NamedTuple):
    """One group: number of calls, tokens by kind (disjoint), and the cost of the calls whose model has a price."""

    name: str
    calls: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    nano_usd: int

    @property
    def total(self) -> int:
        """Tokens of all kinds."""
        return self.input + self.cache_read + self.cache_write + self.output + self.reasoning


def usage(ledger: Ledger, since: float, by: str) -> list[Row]:
    """The groups, those with the most tokens first (days in their order), from calls made at `since` or later.

    Raises ValueError for a grouping that is not in BY. Sessions older than 92 days are summed as `older`.
    """
    if by not in BY:
        raise ValueError(f"by = {by!r:.40}, expected one of {', '.join(BY)}")
    column = {"day": "CAST(at / 86400 AS INTEGER)", "session": "agent || ' ' || session"}.get(by, by)
    old = {"day": "day", "session": "'older'"}.get(by, by)
    rows = ledger.connection.execute(
        f"SELECT name, sum(n), {_SUMS} FROM ("
        f"SELECT {column} AS name, 1 AS n, input, cache_read, cache_write, output, reasoning, nano_usd "
        f"FROM calls WHERE at >= ? UNION ALL "
        f"SELECT {old}, calls, input, cache_read, cache_write, output, reasoning, nano_usd "
        f"FROM days WHERE day * 86400 >= ?) GROUP BY name",
        (since, since),
    ).fetchall()
    found = [Row(_name(by, name), *sums) for name, *sums in rows]
    return sorted(found, key=(lambda row: row.name) if by == "day" else (lambda row: (-row.total, row.name)))


def _name(by: str, value: object) -> str:
    if by == "day":
        import time

        return time.strftime("%Y-%m-%d", time.gmtime(int(str(value)) * 86400))
    return str(value) or "unknown"


def total(rows: list[Row]) -> Row:
    """The sum of all groups."""
    return Row("total", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))) if rows else EMPTY


EMPTY = Row("total", 0, 0, 0, 0, 0, 0, 0)
