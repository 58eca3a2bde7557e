"""Checks of numbers before they are counted."""

from __future__ import annotations

import math
import operator

MAX_TOKENS_PER_RECORD = 10**9
MAX_SECONDS = 1e9  # 31 years


def whole_tokens(tokens: object) -> int:
    """A token count as an integer. Raises ValueError or TypeError that names the value."""
    expected = f"expected a whole number from 0 to {MAX_TOKENS_PER_RECORD}"
    if isinstance(tokens, bool) or not isinstance(tokens, (int, float)):
        try:
            amount = operator.index(tokens)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"tokens = {tokens!r:.60}: {expected}, not {type(tokens).__name__}") from None
        if isinstance(tokens, bool):
            raise TypeError(f"tokens = {tokens!r}: {expected}, not bool")
    elif isinstance(tokens, float):
        if not math.isfinite(tokens) or not tokens.is_integer():
            raise ValueError(f"tokens = {tokens!r}: {expected}")
        amount = int(tokens)
    else:
        amount = int(tokens)
    if not 0 <= amount <= MAX_TOKENS_PER_RECORD:
        shown = tokens if amount.bit_length() < 200 else "a number of more than 60 digits"
        raise ValueError(f"tokens = {shown}: {expected} in one record")
    return amount


def duration(value: float) -> float:
    """A duration in seconds. Raises ValueError or TypeError that names the value."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"a duration is a number of seconds, not {value!r:.60}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"a duration is a number of seconds from 0 to {MAX_SECONDS:.0f}, not {seconds!r}")
    return seconds
