"""What drawing needs from its surroundings; `environment.js` is the same for browsers."""

from __future__ import annotations

import math
import re
import time

from .model import Json

floor = math.floor
log10 = math.log10
sin = math.sin
cos = math.cos
PI = math.pi

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def finite(value: float | None) -> bool:
    """Whether there is a number at all, neither NaN nor infinite."""
    return value is not None and math.isfinite(value)


def number(text: str) -> float:
    """A sample value as Prometheus writes it: `12.5`, `NaN`, `+Inf`, `-Inf`."""
    return float(text)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern of Grafana (`/.../`) occurs in the text."""
    return re.search(pattern.strip("/"), text) is not None


def printable(text: str) -> str:
    """The text with a sign in place of characters that XML forbids, or that would turn the text around them."""
    return _UNPRINTABLE.sub("\ufffd", text)


def local_time(seconds: float) -> list[int]:
    """Year, month, day, hour, minute and second of the viewer's time zone."""
    return list(time.localtime(seconds)[:6])


def quoted_pattern(value: str) -> str:
    """A chosen value as part of a pattern inside a quoted PromQL string."""
    return re.escape(value).replace("\\-", "-").replace("\\", "\\\\")


def without(table: Json, name: str) -> Json:
    """A copy of the table that lacks one entry."""
    return {key: value for key, value in table.items() if key != name}


def copied(table: Json) -> Json:
    """A copy that can be changed."""
    return dict(table)
