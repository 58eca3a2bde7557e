"""One model call of an agent: ids, model, time, sub-agent and disjoint tokens. Never content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..runtime.light_typing import Any, NamedTuple

MAX_TOKENS = 10**9
"""More than any call can use: a larger count is a broken one."""
MAX_ID = 200


class Tokens(NamedTuple):
    """Tokens of one call in disjoint parts; their sum is the total."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """Input with cache plus output with reasoning."""
        return sum(self)


class AgentCall(NamedTuple):
    """One model call. `keys` are its ids: if any of them was counted before, the call was counted.

    `at` is in seconds since the epoch. `subagent` is the sub-agent's name, `subagent_id` its id if only that is known;
    both are empty for the main agent. `task` is the checksum of what it was asked to do, where its id tells no name.
    `version` is the agent's.
    """

    agent: str
    session: str
    keys: tuple[str, ...]
    at: float
    model: str
    tokens: Tokens
    subagent: str = ""
    subagent_id: str = ""
    version: str = ""
    task: str = ""


class Unrecognised(NamedTuple):
    """A record that should contain a model call but cannot be counted.

    `reason` is one of AGENT_UNRECOGNISED_REASONS, `version` the agent's if known.
    """

    reason: str
    version: str = ""


Read = AgentCall | Unrecognised | None


class Inconsistent(ValueError):
    """Figures that contradict each other; none of them is counted."""


def guarded(version: str, read: Callable[..., Read], *arguments: Any) -> Read:
    """The call that a reader finds in one record; contradictory figures make the record unrecognised."""
    try:
        return read(*arguments)
    except Inconsistent:
        return Unrecognised("inconsistent", version)


def whole(value: Any) -> int:
    """A count of tokens; None (absent) is 0. Raises Inconsistent for anything that is not a count."""
    if value is None:
        return 0
    if value.__class__ is float and value.is_integer():
        value = int(value)
    if value.__class__ is not int or not 0 <= value <= MAX_TOKENS:
        raise Inconsistent(f"{value!r:.40} is no number of tokens")
    return int(value)


def wholes(record: Mapping[str, Any], *names: str) -> Iterator[int]:
    """The counts of tokens under these names, in their order; what is absent is 0. Raises Inconsistent as whole()."""
    return map(whole, map(record.get, names))


# What the name of a count of tokens has in it.
_COUNTS = ("token", "cache", "input", "output", "prompt", "completion", "reason", "thought", "thinking", "tool")


def counts(usage: Mapping[str, Any], needed: tuple[str, ...], others: tuple[str, ...] = ()) -> Iterator[int]:
    """The counts of tokens under the `needed` names, then under the `others`, of which an absent one is 0.

    Raises Inconsistent if a needed one is absent, or another one while a name that nobody knows has a count: it may be
    the same under a new name. Then none of the figures would be exact.
    """
    for name in needed:
        if usage.get(name) is None:
            raise Inconsistent(f"no {name}")
    if any(usage.get(name) is None for name in others):
        for name, value in usage.items():
            if value.__class__ is int and value and name not in needed and name not in others and _is_count(name):
                raise Inconsistent(f"{name!r:.40} may be one of {others}")
    return wholes(usage, *needed, *others)


def _is_count(name: str) -> bool:
    lower = name.lower()
    return "total" not in lower and any(word in lower for word in _COUNTS)


def moved(record: Mapping[str, Any], name: str) -> bool:
    """Whether a value of the record is an object with that name: a usage at a place that nobody knows."""
    return any(name in mapping(value) for value in record.values())


def part(whole_: int, *parts: int) -> int:
    """A figure minus the parts that it includes. Raises Inconsistent if the parts exceed it."""
    left = whole_ - sum(parts)
    if left < 0:
        raise Inconsistent(f"parts {parts} of {whole_}")
    return left


def text(value: Any) -> str:
    """An id or a name from a file: at most 200 printable characters, else empty."""
    if value.__class__ is str and 0 < len(value) <= MAX_ID and value.isprintable():
        return str(value)
    return ""


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return value if value.__class__ is dict else {}


def seconds(value: Any) -> float:
    """A time as agents write it (ISO 8601, or milliseconds or seconds since the epoch), in seconds; 0 if unknown."""
    if value.__class__ in (int, float):
        # Compared before it is converted: an integer of 400 digits is no float.
        if 1e11 < value < 1e14:
            return float(value) / 1000
        return float(value) if 0 < value < 1e11 else 0.0
    if value.__class__ is str and 19 <= len(value) <= 40:
        return _iso(value)
    return 0.0


def _iso(value: str) -> float:
    # Parsed by hand for the format that all agents write: importing datetime costs a hook several milliseconds.
    try:
        year, month, day = int(value[0:4]), int(value[5:7]), int(value[8:10])
        hour, minute = int(value[11:13]), int(value[14:16])
        rest = value[17:]
        if not rest.endswith("Z") or not (1970 <= year < 3000 and 1 <= month <= 12 and 1 <= day <= 31):
            return _iso_with_offset(value)
        second = float(rest[:-1])
    except ValueError:
        return 0.0
    # Days since the epoch in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil).
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days * 86400.0 + hour * 3600 + minute * 60 + second


def _iso_with_offset(value: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0
