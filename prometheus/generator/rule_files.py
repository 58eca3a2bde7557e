"""Fills the recording rules of rules/*.yml: what stands between the two markers of a group is generated.

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
    """The text of a rule file with every marked block as records.py has it; KeyError names an unknown group."""

    def fill(match: re.Match[str]) -> str:
        records = RECORDS[match["group"]]
        return match["begin"] + "".join(map(as_yaml, records)) + match["end"]

    return MARKED.sub(fill, text)


def as_yaml(record: Record) -> str:
    """One rule, as it stands in the list of rules of a group."""
    return f"      - record: {record.name}\n        expr: |\n{indent(record.expr, ' ' * 10)}\n"
