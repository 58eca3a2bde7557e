"""What is left of every persona's budget on a host, from its merged numbers."""

from __future__ import annotations

from ..domain.budget_windows import window_start
from ..domain.personas import Catalogue
from ..runtime.light_typing import NamedTuple
from .snapshot_format import Window
from .totals import AgentSession, Ended, Limit, Totals

LINGER_SECONDS = 15 * 60.0


class BudgetState(NamedTuple):
    """A persona's budget on this host, in tokens; `remaining` is negative when overspent."""

    limit: int
    remaining: int
    window: str
    exceeded: int


def limits(catalogue: Catalogue, totals: Totals) -> dict[str, Limit]:
    """Every persona's budget: as configured here, else as in the newest configuration that a process has loaded."""
    known = {p.name: Limit(catalogue.loaded_at, p.tokens, p.window) for p in catalogue.personas.values()}
    for persona, limit in totals.limits.items():
        mine = catalogue.personas.get(persona)
        if mine is None or mine.source == "package":
            known[persona] = limit
    return known


def used_since(windows: dict[Window, int], since: Window) -> int:
    """The use in a window since the reset that it names, or after a later one.

    Later ones exist if the register of resets was lost: then a reset is forgotten, never a use.
    """
    return sum(used for window, used in windows.items() if window[:2] == since[:2] and window[2] >= since[2])


def budgets(catalogue: Catalogue, totals: Totals, resets: dict[str, int], now: float) -> dict[str, BudgetState]:
    """Every known persona's budget: the active run with the least left, else the last run for 15 minutes, else full."""
    known = limits(catalogue, totals)
    active: dict[str, int] = {}
    for persona, remaining, reset in totals.active:
        if persona not in known:
            continue
        left = remaining if reset >= resets.get(persona, 0) else known[persona].tokens
        active[persona] = min(active.get(persona, left), left)
    ended_runs = dict(totals.ended)
    for session in totals.agent_sessions.values():
        _add_agent_session(session, known, resets, now, active, ended_runs)
    found = {}
    for persona, (_, tokens, window) in known.items():
        reset = resets.get(persona, 0)
        ended = ended_runs.get(persona)
        if window != "run":
            remaining = tokens - used_since(totals.windows, (persona, window_start(window, now), reset))
        elif persona in active:
            remaining = active[persona]
        elif ended is not None and ended.reset >= reset and now - ended.time < LINGER_SECONDS:
            remaining = ended.remaining
        else:
            remaining = tokens
        found[persona] = BudgetState(tokens, remaining, window, totals.counters.get(("exc", persona), 0))
    return found


def heard_of(session: AgentSession, now: float) -> bool:
    """Whether an agent's session is active: not ended, with activity in the last 15 minutes."""
    return not session.ended and -LINGER_SECONDS < now - session.seen < LINGER_SECONDS


def _add_agent_session(
    session: AgentSession,
    known: dict[str, Limit],
    resets: dict[str, int],
    now: float,
    active: dict[str, int],
    ended_runs: dict[str, Ended],
) -> None:
    """An agent's session is a run: the active one while there is activity, else possibly the last one that ended."""
    for persona, remaining, reset in session.left:
        if persona not in known:
            continue
        if heard_of(session, now):
            left = remaining if reset >= resets.get(persona, 0) else known[persona].tokens
            active[persona] = min(active.get(persona, left), left)
        elif persona not in ended_runs or (ended_runs[persona].reset, ended_runs[persona].time) < (reset, session.seen):
            ended_runs[persona] = Ended(session.seen, remaining, reset)
