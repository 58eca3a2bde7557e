"""The numbers of a usage record: checked, set against the provider's own total, and split into disjoint parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .usage import INVALID, MAX_TOKENS, NO_USAGE, UNRECOGNISED, Missing, Usage, unchecked
from .view import view

Record = Mapping[str, Any]
Names = frozenset[str]
ReadRecord = Callable[[Record], "Usage | Missing"]

# Names that would move tokens between parts; a count under one of them must not be passed over.
_TELLING = re.compile(r"cache|reason|thought|thinking", re.IGNORECASE)
_NO_TOKENS = re.compile(
    r"cost|price|usd|discount|time|duration|latency|seconds|rate|ratio|request|calls|ttl|effort", re.I
)


def names(text: str) -> Names:
    """The words of `text`: the names that a reader knows."""
    return frozenset(text.split())


_HARMLESS_LIMIT = 512
_harmless: set[str] = set()


class BadCount(ValueError):
    """A count that is no count, or a record that contradicts itself."""


class Unread(ValueError):
    """A record with a count of cached or reasoned tokens under a name that its reader does not know."""


def count(value: Any) -> int:
    """`value` as a number of tokens; an absent one is 0. Some servers write whole numbers as 28.0."""
    if type(value) is int:
        if 0 <= value <= MAX_TOKENS:
            return value
        raise BadCount(value)
    if value is None or type(value).__name__ in ("Unset", "NotGiven", "Omit"):
        return 0
    if type(value) is float and 0 <= value <= MAX_TOKENS and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return count(int(value))
    raise BadCount(value)


def usage_of(read: ReadRecord, record: Any) -> Usage | Missing:
    """What `read` makes of `record`; an absent record is `no_usage`, a broken one `invalid`."""
    if record is None:
        return NO_USAGE
    fields = view(record)
    if not fields:
        return NO_USAGE if type(record) is dict else INVALID
    try:
        return read(fields)
    except BadCount:
        return INVALID
    except Unread:
        return UNRECOGNISED


def known(record: Record, own: Names) -> None:
    """Raises Unread where `record` has a telling count under a name that is not one of `own`."""
    for name, value in record.items():
        if name in own or name in _harmless:
            continue
        if not _TELLING.search(name) or _NO_TOKENS.search(name):
            if len(_harmless) < _HARMLESS_LIMIT:
                _harmless.add(name)
        elif _counts(value):
            raise Unread(name)


def _counts(value: Any) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value > 0
    return isinstance(value, Mapping) and any(map(_counts, value.values()))


def first(record: Record, *keys: str) -> Any:
    """The value of the first of `keys` that is there and not zero, else None."""
    for key in keys:
        value = record.get(key)
        if value:
            return value
    return None


def partition(fresh: int, cached: int, write: int, output: int, reasoning: int, hour: int = 0) -> Usage | Missing:
    """The usage of five parts; no tokens at all are `no_usage`. Raises BadCount for a negative rest."""
    if fresh < 0 or output < 0 or hour > write:
        raise BadCount("parts larger than the whole")
    if not (fresh or cached or write or output or reasoning):
        # No call uses nothing: servers and SDK defaults that do not count say 0.
        return NO_USAGE
    return unchecked((fresh, cached, write, output, reasoning, hour, False))


def both(record: Record, given_name: str, made_name: str, total: int) -> tuple[int, int]:
    """Input and output count. One that is absent is what the total has left; without a total it is not known."""
    given, made = record.get(given_name), record.get(made_name)
    if type(given) is int and type(made) is int and 0 <= given <= MAX_TOKENS and 0 <= made <= MAX_TOKENS:
        return given, made  # as nearly always
    if given is not None and made is not None:
        return count(given), count(made)
    if given is None and made is None:
        if total:
            raise BadCount("a total without its parts")
        return 0, 0
    if not total:
        raise BadCount("half a record")
    rest = total - count(given) - count(made)
    return (count(given), rest) if made is None else (rest, count(made))


def settle(
    given: int, made: int, cached: int, write: int, reasoning: int, total: int, hour: int = 0
) -> Usage | Missing:
    """The partition of two counts whose details are inside them, unless the provider's own total says beside.

    A total above both counts has, in this order: the reasoning, the cache, or both, where one of them fills it exactly;
    output that is not detailed (thinking, on Gemini's OpenAI-compatible endpoint) where no reasoning is; else input
    of the provider's own tools. More reasoning than output is all of the output where the total confirms it.
    """
    if total and total != given + made:
        rest, beside = total - given - made, cached + write
        if rest == reasoning and beside <= given:
            made += reasoning
        elif rest == beside:
            given += beside
        elif rest == beside + reasoning:
            given, made = given + beside, made + reasoning
        elif rest > 0 and not reasoning:
            reasoning = rest
            made += rest
        elif rest > 0:
            given += rest
    elif total and reasoning > made:
        reasoning = made
    return partition(given - cached - write, cached, write, made - reasoning, reasoning, hour)
