"""What a response reports besides its usage: names, price tiers, finish reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from .usage import Billing, Missing, Reading, Usage
from .view import view

Fields = Mapping[str, Any]
ReadResponse = Callable[[Fields, "str | None"], Reading]

_STANDARD = {"", "auto", "default", "standard", "on_demand"}
TEXT_LIMIT = 200


def text(value: Any) -> str | None:
    """A string, shortened if long; an enum as its value; None for anything else."""
    if type(value) is str:
        return value[:TEXT_LIMIT] or None
    if isinstance(value, Enum):
        return str(value.value)[:TEXT_LIMIT]
    return str(value)[:TEXT_LIMIT] if isinstance(value, str) else None


def tier(value: Any) -> str | None:
    """A price tier; None for the standard one."""
    if value is None or (type(value) is str and value in _STANDARD):
        return None
    name = (text(value) or "").lower().removeprefix("on_demand_")
    return None if name in _STANDARD else name


def reasons(items: Any, key: str = "finish_reason") -> tuple[str, ...]:
    """The finish reasons of the choices or candidates that have one."""
    if type(items) is not list and not isinstance(items, (list, tuple)):
        return ()
    if len(items) == 1:
        item = items[0]
        found = (item if type(item) is dict else view(item)).get(key)
        if found is None:
            return ()
        if type(found) is not str or len(found) > TEXT_LIMIT:
            found = text(found)
        return (found,) if found else ()
    return tuple(found for item in items if (found := text(view(item).get(key))))


quick_reading: Callable[[type[Reading], tuple[Any, ...]], Reading] = tuple.__new__
"""A Reading at half the cost of `Reading(...)`, for the most frequent shapes."""


def reading(
    usage: Usage | Missing,
    model: Any,
    identity: Any,
    finish_reasons: tuple[str, ...],
    provider: str | None,
    service_tier: str | None,
    billing: Billing | None = None,
) -> Reading:
    """A Reading of raw fields."""
    values = (usage, text(model), text(identity), finish_reasons, provider, service_tier, billing, ())
    return quick_reading(Reading, values)
