"""The settings of a field after its overrides, and how a value of it is shown: text and colour."""

from __future__ import annotations

from .environment import copied, finite, matches
from .model import Json
from .units import formatted

#: Colours that the style sheet has in a light and a dark form; others stand as they are.
NAMED = ["green", "yellow", "red", "blue", "orange", "purple"]
#: How many colours series take in turn.
PALETTE = 12
#: Steps of shading where a colour follows the value.
SHADES = 10


def field_of(panel: Json, name: str, index: int) -> Json:
    """The settings of the field with that name; `index` chooses its colour in the palette."""
    settings = panel.get("fieldConfig") or {}
    field = copied(settings.get("defaults") or {})
    field["custom"] = copied(field.get("custom") or {})
    field["index"] = index
    for override in settings.get("overrides") or []:
        matcher = override["matcher"]
        wanted = str(matcher.get("options"))
        by_name = matcher["id"] == "byName" and wanted == name
        if by_name or (matcher["id"] == "byRegexp" and matches(wanted, name)):
            for setting in override["properties"]:
                _apply(field, setting["id"], setting["value"])
    return field


def _apply(field: Json, path: str, value: object) -> None:
    if path.startswith("custom."):
        field["custom"][path[7:]] = value
    else:
        field[path] = value


def steps_of(field: Json) -> list[Json]:
    thresholds = field.get("thresholds") or {}
    return thresholds.get("steps") or []


def threshold_color(field: Json, value: float) -> str:
    color = "green"
    for step in steps_of(field):
        bound = step.get("value")
        if bound is None or value >= bound:
            color = step["color"]
    return color


def share(field: Json, value: float, low: float, high: float) -> float:
    """Where the value lies between minimum and maximum, 0 to 1; `low` and `high` where none are configured."""
    minimum = field.get("min")
    maximum = field.get("max")
    bottom: float = low if minimum is None else minimum
    top: float = high if maximum is None else maximum
    if top <= bottom:
        return 1.0 if value >= top else 0.0
    return max(0.0, min(1.0, (value - bottom) / (top - bottom)))


def color_of(field: Json, value: float | None, high: float) -> str:
    """The colour of a value: a name, a hexadecimal one, `s<n>` of the palette or `h<n>` of the shades."""
    setting = field.get("color") or {}
    mode: str = setting.get("mode") or "thresholds"
    if mode == "fixed":
        fixed: str = setting.get("fixedColor") or "blue"
        return fixed
    if mode.startswith("palette"):
        return f"s{field['index'] % PALETTE}"
    if value is None or not finite(value):
        return "quiet"
    if mode.startswith("continuous"):
        part = share(field, value, 0, high)
        shade = 0
        while shade < SHADES and part * SHADES > shade:
            shade += 1
        return f"h{shade}"
    return threshold_color(field, value)


def shown(field: Json, value: float | None, now: float, high: float) -> Json:
    """Text and colour of a value, its mappings included."""
    for mapping in field.get("mappings") or []:
        result = _mapped(mapping, value)
        if result is not None:
            color = result.get("color") or color_of(field, value, high)
            quiet = color == "transparent" or color == "#8e8e8e"
            return {"text": result.get("text") or "", "color": "quiet" if quiet else color}
    text = formatted(value, field.get("unit") or "none", field.get("decimals"), now)
    return {"text": text, "color": color_of(field, value, high)}


def _mapped(mapping: Json, value: float | None) -> Json | None:
    options = mapping["options"]
    empty = value is None or not finite(value)
    if mapping["type"] == "special":
        if empty and options["match"] in ["null", "nan", "null+nan"]:
            found: Json = options["result"]
            return found
        return None
    if mapping["type"] == "value" and value is not None and not empty:
        for key, result in options.items():
            if key == formatted(value, "none", None, 0):
                hit: Json = result
                return hit
    return None


def paint(color: str, prefix: str) -> str:
    """The class of the style sheet that gives a shape its colour: prefix c fills, l draws lines, k writes."""
    if color in NAMED or color == "quiet" or color[:1] in ["s", "h"]:
        return prefix + "-" + color
    known = {"dark-orange": "orange", "light-blue": "blue", "dark-blue": "blue", "dark-green": "green"}
    found = known.get(color)
    return prefix + "-" + (str(found) if found is not None else "quiet")
