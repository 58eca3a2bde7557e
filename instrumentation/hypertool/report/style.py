"""The style sheet of report, overview page and pictures, for light and dark."""

from __future__ import annotations

from .fields import PALETTE, SHADES
from .heatmap import HEAT

#: Named colours: filled shapes and lines, then the ink of text in that colour, for light and for dark.
_COLORS = {
    "green": ("#73bf69", "#1f6b2b", "#73bf69"),
    "yellow": ("#f2cc0c", "#7a5c00", "#fade2a"),
    "red": ("#f2495c", "#b3122a", "#ff7383"),
    "blue": ("#5794f2", "#1f5fb8", "#8ab8ff"),
    "orange": ("#ff9830", "#9a4a00", "#ffb357"),
    "purple": ("#b877d9", "#7a3aa0", "#ca95e5"),
    "quiet": ("#8e8e8e", "#5c6068", "#a6aab3"),
}
_PALETTE = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#1fa3a3",
    "#b877d9", "#8f5e3b", "#37872d", "#c4a000", "#3274d9", "#8f3bb8",
)  # fmt: skip
_LIGHT = {
    "page": "#f4f5f7",
    "panel": "#ffffff",
    "text": "#1d2026",
    "soft": "#555b66",
    "line": "#d9dce2",
    "track": "#e9ebef",
}
_DARK = {
    "page": "#111217",
    "panel": "#181b1f",
    "text": "#e6e8ec",
    "soft": "#a7adb8",
    "line": "#33373e",
    "track": "#2a2e35",
}
_ON = "#10131a"

_PAGE = """
* { box-sizing: border-box; }
body { background: var(--page); color: var(--text); font: 14px/1.45 system-ui, sans-serif; margin: 0; padding: 1rem; }
header, main, footer { margin: 0 auto; max-width: 1500px; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .2rem; }
h3 { font-size: .92rem; margin: 0; } p { margin: .2rem 0; } a { color: var(--k-blue); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; list-style: none; margin: .5rem 0; padding: 0; }
.about, caption, .cut, footer { color: var(--soft); font-size: .8rem; text-align: left; }
.about { float: right; max-width: 100%; } .about[open] { float: none; }
summary { cursor: pointer; list-style: none; text-align: right; }
summary::-webkit-details-marker { display: none; }
summary span { border: 1px solid var(--soft); border-radius: 50%; display: inline-block;
  height: 1.4em; text-align: center; width: 1.4em; }
.panels { display: grid; gap: 8px; grid-template-columns: repeat(24, minmax(0, 1fr)); }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; display: flex;
  flex-direction: column; min-width: 0; padding: .5rem .6rem; }
.words { color: var(--soft); margin: auto; padding: 1.5rem .5rem; text-align: center; }
.problem { border: 1px solid var(--k-red); border-radius: 4px; color: var(--k-red); padding: .5rem; }
.notice { border: 1px solid var(--line); border-radius: 4px; padding: .5rem; }
.drawing { display: block; height: auto; width: 100%; }
.scroll { overflow-x: auto; } caption { height: 1px; overflow: hidden; position: absolute; width: 1px; }
table { border-collapse: collapse; font-size: .82rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .4rem; text-align: left; }
.n { text-align: right; white-space: nowrap; } .drawing ~ .scroll td { padding-block: .08rem; }
@media screen { .drawing ~ .scroll { max-height: 13rem; overflow-y: auto; } }
[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
#variables { display: contents; }
th button { background: none; border: 0; color: inherit; cursor: pointer; font: inherit; font-weight: 600; padding: 0; }
th[aria-sort=ascending] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
.key { height: .65em; margin-right: .4em; width: .65em; }
form { align-items: end; display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin: .6rem 0; }
label { color: var(--soft); display: flex; flex-direction: column; font-size: .8rem; }
select { background: var(--panel); border: 1px solid var(--line); color: var(--text); font: inherit; padding: .2rem; }
@media (max-width: 900px) { .panels { display: block; } .panel { margin-bottom: 8px; overflow-x: auto; }
  .panel > div:first-child { left: 0; position: sticky; }
  /* Of what does not fit, the newest is in sight. */
  .time { direction: rtl; } .time > * { direction: ltr; } }
@media print { body { padding: 0; } .panel { break-inside: avoid; } nav, form { display: none; } }
"""

_SHAPES = """
.t { fill: var(--soft); font-size: 12px; } .v, .h { fill: var(--text); font-size: 12px; } .h { font-weight: 600; }
.on { fill: #10131a; font-size: 12px; } .big1 { font-size: 14px; } .big2 { font-size: 21px; }
.narrow { font-size: 10.5px; } .big3 { font-size: 31px; } .big4 { font-size: 42px; }
.big2, .big3, .big4 { font-weight: 600; }
text { font-family: system-ui, "DejaVu Sans", sans-serif; }
.grid { fill: none; stroke: var(--line); stroke-width: 1; } .frame { fill: var(--panel); stroke: var(--line); }
.page { fill: var(--page); } .tip { fill: transparent; } .track { fill: var(--track); }
.track-line { stroke: var(--track); } .ring { fill: none; stroke-width: 13; } .rim { fill: none; stroke-width: 3; }
.line { fill: none; stroke-linecap: round; stroke-width: 1.6; } .dashed { stroke-dasharray: 6 5; stroke-width: 1.2; }
.dots { fill: none; stroke-linecap: round; stroke-width: 7; } .small.dots { stroke-width: 3.5; }
"""


def sheet() -> str:
    """The whole style sheet of a page; the colours follow what the reader's system prefers."""
    light, dark = _variables(_LIGHT, 1), _variables(_DARK, 2)
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ {light} }} }}\n{_PAGE}{_SHAPES}{_classes()}"
    )


def picture_sheet(dark: bool) -> str:
    """The style sheet of a picture, which knows no variables."""
    text = _SHAPES + _classes()
    names = {**(_DARK if dark else _LIGHT)}
    names |= {f"k-{name}": inks[2 if dark else 1] for name, inks in _COLORS.items()}
    for name, value in names.items():
        text = text.replace(f"var(--{name})", value)
    return text


def _variables(theme: dict[str, str], ink: int) -> str:
    pairs = [f"--{name}: {value};" for name, value in theme.items()]
    return " ".join(pairs + [f"--k-{name}: {inks[ink]};" for name, inks in _COLORS.items()])


def _classes() -> str:
    """c- fills, l- draws lines, k- writes, b- is behind the text of a cell."""
    rules = [f".w{width} {{ grid-column: span {width}; }}" for width in range(1, 25)]
    # On a phone, wide drawings scroll to the side: made to fit, their words could not be read.
    wide = "".join(f" .w{width} .drawing {{ min-width: {46 * width}px; }}" for width in range(9, 25))
    rules.append(f"@media screen and (max-width: 900px) {{{wide} }}")
    fills = {name: inks[0] for name, inks in _COLORS.items()}
    fills |= {f"s{number}": _PALETTE[number] for number in range(PALETTE)}
    fills |= {f"h{shade}": _shade(shade) for shade in range(SHADES + 1)}
    for name, color in fills.items():
        rules.append(f".c-{name} {{ fill: {color}; }} .l-{name} {{ fill: none; stroke: {color}; }}")
        rules.append(f".b-{name} {{ background: {color}; color: {_ON}; }}")
    rules += [f".k-{name} {{ fill: var(--k-{name}); }}" for name in _COLORS]
    rules += [f".heat{number} {{ fill: {_turbo(0.08 + 0.88 * number / (HEAT - 1))}; }}" for number in range(HEAT)]
    return "\n".join(rules) + "\n"


def _shade(shade: int) -> str:
    """From nearly white to blue: dark text is readable on all of them."""
    part = shade / SHADES
    low, high = (222, 234, 252), (110, 163, 245)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(low, high, strict=True))


def _turbo(t: float) -> str:
    """The colour map Turbo (Google, Apache-2.0), by its polynomial."""
    red = 34.61 + t * (1172.33 - t * (10793.56 - t * (33300.12 - t * (38394.49 - t * 14825.05))))
    green = 23.31 + t * (557.33 + t * (1225.33 - t * (3574.96 - t * (1073.77 + t * 707.56))))
    blue = 27.2 + t * (3211.1 - t * (15327.97 - t * (27814 - t * (22569.18 - t * 6838.66))))
    return "#" + "".join(f"{max(0, min(255, round(part))):02x}" for part in (red, green, blue))
