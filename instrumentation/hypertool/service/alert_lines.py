"""One notification of Alertmanager as JSON lines that journald keeps whole: a large group becomes several lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

#: journald cuts a line of standard output at 48 KiB (LineMax=) and makes several entries of it.
LINE_BYTES = 40_000
#: How much stays of a text, and of a list or object, of an alert that does not fit a line by itself.
TEXT_KEPT, ENTRIES_KEPT, DEPTH_KEPT = 250, 20, 4


def alert_lines(notification: dict[str, Any]) -> list[str]:
    """The notification as lines of at most LINE_BYTES, each a whole JSON object; one line where it fits.

    Where it does not, each line has some of the alerts, all other fields, and `part` and `parts`. What is longer than
    a line by itself is shortened, and says so.
    """
    whole = _line(notification)
    if len(whole) <= LINE_BYTES:
        return [whole]
    others = {key: value for key, value in notification.items() if key != "alerts"}
    common = others if len(_line(others)) < LINE_BYTES // 4 else _shortened(others)
    room = LINE_BYTES - len(_line({**common, "part": 999_999, "parts": 999_999, "alerts": []}))
    groups = list(_groups(notification["alerts"], room))
    return [
        _line({**common, "part": number, "parts": len(groups), "alerts": alerts})
        for number, alerts in enumerate(groups, start=1)
    ]


def _line(value: Any) -> str:
    # ASCII only: what an alert's text contains can then neither break the line nor drive a terminal.
    return json.dumps(value, ensure_ascii=True, allow_nan=True)


def _groups(alerts: list[Any], room: int) -> Iterator[list[Any]]:
    """The alerts in order, as many together as there is room for."""
    group: list[Any] = []
    used = 0
    for alert in alerts:
        size = len(_line(alert)) + len(", ")
        if size > room:
            alert = _shortened(alert)
            size = len(_line(alert)) + len(", ")
        if group and used + size > room:
            yield group
            group, used = [], 0
        group.append(alert)
        used += size
    yield group


def _shortened(value: Any, depth: int = DEPTH_KEPT) -> Any:
    """The value with long texts and all but the first entries left out."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_KEPT else f"{value[:TEXT_KEPT]}... ({len(value)} characters)"
    if isinstance(value, (dict, list)) and depth == 0:
        return f"... ({len(value)} entries)"
    if isinstance(value, dict):
        entries = list(value.items())[:ENTRIES_KEPT]
        kept = {_shortened(key, depth): _shortened(entry, depth - 1) for key, entry in entries}
        return kept if len(value) <= ENTRIES_KEPT else {**kept, "...": f"({len(value)} entries)"}
    if isinstance(value, list):
        kept_entries = [_shortened(entry, depth - 1) for entry in value[:ENTRIES_KEPT]]
        return kept_entries if len(value) <= ENTRIES_KEPT else [*kept_entries, f"... ({len(value)} entries)"]
    return value
