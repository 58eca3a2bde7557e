"""Numbers and texts as they stand in SVG and HTML.

This module and its neighbours that do not talk to the outside are also translated to JavaScript for the overview page
(see `prometheus/generator/overview.py`), so they keep to what both languages do alike.
"""

from __future__ import annotations

from .environment import finite, floor, printable


def escaped(text: str) -> str:
    """The text for HTML and XML, between tags or in an attribute."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace('"', "&quot;").replace("'", "&#39;")


def fixed(value: float, decimals: int) -> str:
    """The number with that many decimals, halves rounded away from zero."""
    scale = 10**decimals
    digits = str(floor(abs(value) * scale + 0.5))
    while len(digits) <= decimals:
        digits = "0" + digits
    if decimals > 0:
        cut = len(digits) - decimals
        digits = digits[:cut] + "." + digits[cut:]
    negative = value < 0 and digits.replace("0", "").replace(".", "") != ""
    return "-" + digits if negative else digits


def trimmed(text: str) -> str:
    """The decimal number without zeros at its end."""
    if "." not in text:
        return text
    while text.endswith("0"):
        text = text[: len(text) - 1]
    return text[: len(text) - 1] if text.endswith(".") else text


def coordinate(value: float) -> str:
    """A length in an SVG: a tenth of a pixel is enough."""
    return trimmed(fixed(value, 1)) if finite(value) else "0"


def shortened(text: str, width: float) -> str:
    """The text, cut at its end where it is wider than that many pixels."""
    room = floor(width / 6.6)
    return text if len(text) <= room else text[: max(1, room - 1)] + "\u2026"


def label(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    """One line of text; `kind` is a class of the style sheet, `anchor` start, middle or end."""
    return f'<text x="{coordinate(x)}" y="{coordinate(y)}" class="{kind}" text-anchor="{anchor}">{escaped(text)}</text>'


def rectangle(x: float, y: float, width: float, height: float, kind: str, tip: str) -> str:
    """A filled box; `tip` is what a pointer on it says."""
    return (
        f'<rect x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(max(0, width))}" '
        f'height="{coordinate(max(0, height))}" class="{kind}"><title>{escaped(tip)}</title></rect>'
    )


def path(data: str, kind: str) -> str:
    return f'<path d="{data}" class="{kind}"/>'
