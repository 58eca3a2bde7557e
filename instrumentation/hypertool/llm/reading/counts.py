"""The counts of a usage record: checked, compared with the provider's own total, and split into disjoint parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .usage import INVALID, MAX_TOKENS, NO_USAGE, UNRECOGNISED, Missing, Usage, unchecked
from .view import view

Record = Mapping[str, Any]
Names = frozenset[str]
ReadRecord = Callable[[Record], "Usage | Missing"]

# Names whose counts would move tokens between parts; an unknown name like these must not be ignored.
_TELLING = re.compile(r"cache|reason|thought|thinking", re.IGNORECASE)
_NO_TOKENS = re.compile(
    r"cost|price|usd|discount|time|duration|latency|seconds|rate|ratio|request|calls|ttl|effort", re.I
)


def names(text: str) -> Names:
    """The words of `text` as a set: the names that a reader knows."""
    return frozenset(text.split())


_ABSENT = names("Unset NotGiven Omit")  # SDKs' classes for a value that the server has not sent
_HARMLESS_LIMIT = 512
_harmless: set[str] = set()


class BadCount(ValueError):
    """A value that is not a valid count, or a record that contradicts itself."""


class Unread(ValueError):
    """A record counts cached or reasoning tokens under a name that its reader does not know."""


def count(value: Any) -> int:
    """`value` as a number of tokens, 0 if absent. Some servers write whole numbers as 28.0. Raises BadCount."""
    if type(value) is int:
        if 0 <= value <= MAX_TOKENS:
            return value
        raise BadCount(value)
    if value is None or type(value).__name__ in _ABSENT:
        return 0
    if type(value) is float and 0 <= value <= MAX_TOKENS and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return count(int(value))
    raise BadCount(value)


def usage_of(read: ReadRecord, record: Any) -> Usage | Missing:
    """The usage that `read` finds in `record`; an absent record is `no_usage`, a broken one `invalid`."""
    if record is None:
        return NO_USAGE
    fields = view(record)
    if not fields:
        return NO_USAGE if type(record) is dict or type(record).__name__ in _ABSENT else INVALID
    try:
        return read(fields)
    except BadCount:
        return INVALID
    except Unread:
        return UNRECOGNISED


def known(record: Record, own: Names) -> None:
    """Raises Unread if `record` has a count that may move tokens between parts, under a name that is not in `own`."""
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
    """The value of the first of `keys` that is present and not zero, else None."""
    for key in keys:
        value = record.get(key)
        if value:
            return value
    return None


def inside(details: Any, plain: Names, own: Names) -> Record:
    """The fields of a record's details, checked as `known` does if they have names that are not in `plain`."""
    fields = view(details)
    if not plain.issuperset(fields):
        known(fields, own)
    return fields


def partition(fresh: int, cached: int, write: int, output: int, reasoning: int, hour: int = 0) -> Usage | Missing:
    """The usage with these five parts; no tokens at all are `no_usage`. Raises BadCount for a negative part."""
    if fresh < 0 or output < 0 or hour > write:
        raise BadCount("parts larger than the whole")
    if not (fresh or cached or write or output or reasoning):
        # Every call uses tokens: 0 comes from servers and SDK defaults that do not count.
        return NO_USAGE
    return unchecked((fresh, cached, write, output, reasoning, hour, False))


def both(record: Record, given_name: str, made_name: str, total: int) -> tuple[int, int]:
    """The input and output counts. An absent one is the rest of the total; without a total, raises BadCount."""
    given, made = record.get(given_name), record.get(made_name)
    if type(given) is int and type(made) is int and 0 <= given <= MAX_TOKENS and 0 <= made <= MAX_TOKENS:
        return given, made  # fast path: two whole numbers
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
    """The partition of two counts that include their details, unless the provider's own total shows otherwise.

    If the total exceeds both counts, the rest is, in this order: the reasoning, the cache, or both, if one of these
    fits exactly; output without details (thinking, on Gemini's OpenAI-compatible endpoint) if there is no reasoning;
    otherwise input of the provider's own tools. If the total confirms the counts but there is more reasoning than
    output, all output is reasoning; reasoning of more than twice the output is no part of it and is missing in both.
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
    elif total and reasoning > 2 * made:
        made += reasoning
    elif total and reasoning > made:
        reasoning = made
    return partition(given - cached - write, cached, write, made - reasoning, reasoning, hour)


def settle_details(
    given: int, made: int, cached: Any, write: Any, reasoning: Any, total: int, hour: int = 0
) -> Usage | Missing:
    """`settle`, with the details as a record has them (None: absent)."""
    return settle(
        given,
        made,
        0 if cached is None else count(cached),
        0 if write is None else count(write),
        0 if reasoning is None else count(reasoning),
        total,
        hour,
    )
