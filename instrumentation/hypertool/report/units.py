"""Values as Grafana writes them: units, decimals, grouping."""

from __future__ import annotations

from .environment import finite, floor, log10
from .model import Row
from .texts import fixed, trimmed

#: The largest number of seconds for each way to say an age, as moment.js (and so Grafana) does.
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SCALES = ["", " K", " Mil", " Bil", " Tri"]
_MONEY = ["", "K", "M", "B", "T"]
_BYTES = [" B", " KiB", " MiB", " GiB", " TiB"]
_SECONDS: list[Row] = [
    [1e-6, 1e9, " ns"],
    [1e-3, 1e6, " µs"],
    [1, 1e3, " ms"],
    [60, 1, " s"],
    [3600, 1 / 60, " mins"],
    [86400, 1 / 3600, " hours"],
    [604800, 1 / 86400, " days"],
    [31536000, 1 / 604800, " weeks"],
]


def auto_decimals(value: float) -> int:
    """How many decimals Grafana shows where none are configured."""
    if value == 0 or not finite(value):
        return 0
    decimals = 1 - floor(log10(abs(value)))
    if value * 10**decimals > 2.25:
        decimals += 1
    if value == floor(value):
        decimals = 0
    return max(0, min(20, decimals))


def plain(value: float, decimals: int | None) -> str:
    return fixed(value, auto_decimals(value) if decimals is None else decimals)


def grouped(value: float, decimals: int | None) -> str:
    """Thousands separated by commas, at most that many decimals (default: 3)."""
    text = trimmed(fixed(abs(value), 3 if decimals is None else decimals))
    parts = text.split(".")
    whole = parts[0]
    made = ""
    while len(whole) > 3:
        made = "," + whole[len(whole) - 3 :] + made
        whole = whole[: len(whole) - 3]
    made = whole + made
    if len(parts) > 1:
        made = made + "." + parts[1]
    return "-" + made if value < 0 and made != "0" else made


def scaled(value: float, decimals: int | None, factor: float, names: list[str]) -> str:
    step = 0
    while abs(value) >= factor and step < len(names) - 1:
        value = value / factor
        step += 1
    return plain(value, decimals) + names[step]


def seconds(value: float, decimals: int | None) -> str:
    """A duration in the unit that suits its size."""
    if value == 0:
        return "0 s"
    for limit, factor, name in _SECONDS:
        if abs(value) < limit:
            text = plain(value * factor, decimals)
            # One minute, but 0.5 s.
            single = text == "1" and len(name) > 4
            return text + (name[: len(name) - 1] if single else str(name))
    return plain(value / 31536000, decimals) + " years"


def ago(moment: float, now: float) -> str:
    """How long before `now` a moment was; both in seconds."""
    distance = abs(now - moment)
    said = _span(distance)
    return "in " + said if moment > now else said + " ago"


def _span(distance: float) -> str:
    minutes = floor(distance / _MINUTE + 0.5)
    hours = floor(distance / _HOUR + 0.5)
    days = floor(distance / _DAY + 0.5)
    months = floor(distance / (30.436875 * _DAY) + 0.5)
    if floor(distance + 0.5) <= 44:
        return "a few seconds"
    if minutes < 45:
        return "a minute" if minutes <= 1 else f"{minutes} minutes"
    if hours < 22:
        return "an hour" if hours <= 1 else f"{hours} hours"
    if days < 26:
        return "a day" if days <= 1 else f"{days} days"
    if months < 11:
        return "a month" if months <= 1 else f"{months} months"
    years = floor(distance / (365.2425 * _DAY) + 0.5)
    return "a year" if years <= 1 else f"{years} years"


def formatted(value: float | None, unit: str, decimals: int | None, now: float) -> str:
    """The value in a unit of Grafana; `now` (in seconds) is for ages. A unit that is not known follows the number."""
    if value is None or not finite(value):
        return "\u2013" if value is None else ("+Inf" if value > 0 else ("-Inf" if value < 0 else "NaN"))
    if unit == "locale":
        return grouped(value, decimals)
    if unit == "percentunit":
        return plain(value * 100, decimals) + "%"
    if unit == "percent":
        return plain(value, decimals) + "%"
    if unit == "currencyUSD":
        return ("-$" if value < 0 else "$") + scaled(abs(value), decimals, 1000, _MONEY)
    if unit == "dateTimeFromNow":
        return ago(value / 1000, now)
    if unit == "s":
        return seconds(value, decimals)
    if unit == "bytes":
        return scaled(value, decimals, 1024, _BYTES)
    if unit == "short":
        return scaled(value, decimals, 1000, _SCALES)
    return _named(value, unit, decimals)


def _named(value: float, unit: str, decimals: int | None) -> str:
    if unit == "none" or unit == "":
        return plain(value, decimals)
    if unit.startswith("suffix:"):
        return plain(value, decimals) + " " + unit[7:]
    if unit.startswith("prefix:"):
        return unit[7:] + plain(value, decimals)
    return plain(value, decimals) + " " + unit
