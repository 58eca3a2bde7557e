"""Generates the recording rules of rules/*.yml, between the two markers of each group.

Everything else in those files (groups, intervals, alerts, comments) is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

from .records import RECORDS, Record

FOLDER = Path(__file__).resolve().parents[1] / "rules"
MARKED = re.compile(r"(?P<begin> *# <records (?P<group>\w+)>.*\n)(?:.*\n)*?(?P<end> *# </records>\n)")


def paths() -> list[Path]:
    """The rule files."""
    return sorted(FOLDER.glob("*.yml"))


def filled(text: str) -> str:
    """The text of a rule file with every marked block generated from records.py; KeyError names an unknown group."""

    def fill(match: re.Match[str]) -> str:
        records = RECORDS[match["group"]]
        return match["begin"] + "".join(map(as_yaml, records)) + match["end"]

    return MARKED.sub(fill, text)


def as_yaml(record: Record) -> str:
    """One rule as YAML, as an item in a group's list of rules."""
    return f"      - record: {record.name}\n        expr: |\n{indent(record.expr, ' ' * 10)}\n"
