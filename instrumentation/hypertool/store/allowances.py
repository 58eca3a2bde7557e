"""How many agent sessions and budget windows one user may bring into the sums of a host, beside the label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from ..runtime.logs import once
from .totals import Totals

# A session is one row, and one more for each of its budgets. They are kept for an hour.
MAX_SESSION_ROWS = 4_000
# Two days of hours are 49; each reset begins one more.
MAX_WINDOWS_OF_A_PERSONA = 300
MAX_WINDOWS = 5_000
# Of all users together, some of whom may be one person's.
MAX_ROWS = 100_000

_Row = tuple[Hashable, ...]


class Allowances:
    """Counts what each user has brought into one sum, and leaves out what is beyond the limits."""

    def __init__(self) -> None:
        self._rows: dict[_Row, tuple[int, int]] = {}
        self._used: Counter[_Row] = Counter()

    def copy(self) -> Allowances:
        """The same counts, to continue with."""
        return self._of(self._rows)

    def kept(self, totals: Totals) -> Allowances:
        """The counts of what is still in those totals."""
        return self._of(
            {
                row: brought
                for row, brought in self._rows.items()
                if row in totals.agent_sessions or row in totals.windows
            }
        )

    @staticmethod
    def _of(rows: dict[_Row, tuple[int, int]]) -> Allowances:
        made = Allowances()
        for row, (user, weight) in rows.items():
            made._take(row, user, weight)
        return made

    def limit(self, totals: Totals, known: Totals, user: int) -> Totals:
        """The totals that may be added to `known`, in a copy if something is left out; the newest rows come first."""
        sessions = {}
        for name, session in sorted(totals.agent_sessions.items(), key=lambda one: one[1].seen, reverse=True):
            before = known.agent_sessions.get(name)
            weight = 1 + len(session.left) if before is None else max(0, len(session.left) - len(before.left))
            if not weight or self._may_take(name, user, weight):
                sessions[name] = session
        windows = {}
        for window in sorted(totals.windows, key=lambda one: one[1:], reverse=True):
            if window in known.windows or self._may_take(window, user, 1):
                windows[window] = totals.windows[window]
        if len(sessions) == len(totals.agent_sessions) and len(windows) == len(totals.windows):
            return totals
        once.warn(
            f"allowances {user}",
            f"user {user} has more agent sessions or budget windows in the store than one user may have "
            f"({MAX_SESSION_ROWS} rows, {MAX_WINDOWS_OF_A_PERSONA} windows of a persona): the oldest are left out",
        )
        limited = Totals()
        limited.add(totals)
        limited.agent_sessions, limited.windows = sessions, windows
        return limited

    def _may_take(self, row: _Row, user: int, weight: int) -> bool:
        for place, most in self._places(row, user):
            if self._used[place] + weight > most:
                return False
        self._take(row, user, weight)
        return True

    def _take(self, row: _Row, user: int, weight: int) -> None:
        _, before = self._rows.get(row, (user, 0))
        self._rows[row] = (user, before + weight)
        for place, _ in self._places(row, user):
            self._used[place] += weight

    @staticmethod
    def _places(row: _Row, user: int) -> tuple[tuple[_Row, int], ...]:
        if len(row) == 2:  # agent and session
            return (((), MAX_ROWS), ((user, "sessions"), MAX_SESSION_ROWS))
        return (
            ((), MAX_ROWS),
            ((user, "windows"), MAX_WINDOWS),
            ((user, "windows", row[0]), MAX_WINDOWS_OF_A_PERSONA),
        )
